"""What a pipeline is put together from: ports, and a folder for each real part behind them."""
