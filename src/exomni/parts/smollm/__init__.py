"""SmolLM2 on ONNX Runtime: writes replies, and reads texts into the hidden states that fusion was trained on."""
