"""Mutated TLS: a few thousand of the cases of which `make test-all` runs a hundred thousand."""

import fuzz_tls
from tls_support import needs_openssl

CASES = 2000


@needs_openssl
def test_no_mutation_of_what_the_peer_sends_does_harm():
    assert fuzz_tls.fuzz(CASES, first_seed=1_000_000) == CASES
