"""Workloads for the tests of `tideloop bench`: small ones, and ones that go wrong in each way."""
