"""A trained model in a file that runs without seqlab: ONNX, torch.export, safetensors."""
