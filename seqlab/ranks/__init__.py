"""Several processes that train one model together, called ranks: who starts them, how they agree, and how they end.

place: which rank this process is, and how many a config asks for. launch: one torchrun for a job, watched by the process that
is the job (agent: what runs in torchrun; worker: what runs in each rank). group: what the ranks tell each other.
"""
