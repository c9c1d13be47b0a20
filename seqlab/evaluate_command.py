"""`seqlab evaluate`: the command line of seqlab.evaluate. Standard library until the arguments are understood."""

from __future__ import annotations

from seqlab.arguments import files, numbers, parse

HELP = """usage: seqlab evaluate run=DIR [KEY=VALUE ...] [--json]

Repeat the test figures of a run from its checkpoint; no code in the checkpoint is run.

  run=DIR             the run directory; training prints it in its last line
  checkpoint=NAME     which weights: best or last; by default those that training tested
  data.KEY=VALUE      change the data, e.g. data.test_num_bits=32
  trainer.KEY=VALUE   change the trainer, e.g. trainer.accelerator=cpu
  picture=FILE        draw the confusion matrix of a classifier there
  plugins=[FILE,...]  plugin files that the run was trained with and that you trust
  --json              print the figures as JSON; null is what is no finite number

Of a language model, with and without a cache of the words just read (Grave et al., 2017):

  cache=N             steps that the cache holds, e.g. 500
  cache_theta=X,...   how sharply it prefers steps like the present one: values to choose from on validation
  cache_lambda=X,...  its share of the probability: values to choose from on validation
  data.eval_batch_size=1  one stream and one cache, as published; else each stream has a cache of its own

seqlab evaluate run=DIR checkpoint=last
seqlab evaluate run=DIR cache=500 data.eval_batch_size=1
"""

CACHE = {"cache": int, "cache_theta": numbers, "cache_lambda": numbers}
READERS = {"run": str, "checkpoint": str, "picture": str, "plugins": files, **CACHE}


def main(argv: list[str]) -> int:
    """Entry point. Returns 0; errors are raised, ValueError for what the caller can mend."""
    if any(argument in ("-h", "--help") for argument in argv):
        print(HELP, end="")
        return 0
    changes = [argument for argument in argv if argument.startswith(("data.", "trainer."))]
    options = parse("evaluate", [argument for argument in argv if argument not in (*changes, "--json")], READERS)
    from seqlab.evaluate import compare, evaluate  # torch is not needed for --help
    from seqlab.run_directory import strict_json
    from seqlab.show import console, metrics_table

    as_json = "--json" in argv
    metrics = evaluate(**options, changes=changes, progress=not as_json)
    if as_json:
        print(strict_json(metrics))
        return 0
    console.print(metrics_table(metrics))
    if "cache" in options:
        values = ", ".join(f"{name.removeprefix('cache_')} {metrics[name]:g}" for name in ("cache_window", "cache_theta", "cache_lambda"))
        console.print(f"cache: {values}, the best on validation of those tried.", highlight=False, markup=False, soft_wrap=True)
    elif not changes and "checkpoint" not in options:
        console.print(compare(options["run"], metrics), highlight=False, markup=False, soft_wrap=True)
    if "picture" in options:
        console.print(f"picture: {options['picture']}", highlight=False, markup=False, soft_wrap=True)
    return 0
