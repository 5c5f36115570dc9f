"""Random programs on a simulated clock: what happens, and in which order, on asyncio and on Tideloop."""
