"""What is said of a wheel for another machine, and which packages are fetched for it, without fetching any."""

import sys
import zipfile

import pytest

from tidy import tree

sys.path.insert(0, str(tree.ROOT / "tools"))

import cross
import cross_debian
import cross_toolchain
import cross_wheel

ARM64 = "aarch64-unknown-linux-gnu"
# As `apt-cache depends --recurse --important` prints it.
GRAPH = """rustc-web
  Depends: libc6
  Depends: libstd-rust-web
 |Depends: <c-compiler>
    gcc
 |Depends: binutils
libstd-rust-web
  PreDepends: libllvm
    libllvm:arm64
libllvm
  Depends: libstd-rust-web
  Depends: zlib1g
binutils
  Depends: libbinutils
"""


def read(*, needed=("libc.so.6",), versions=("2.2.5", "2.17")):
    """What readelf prints, as far as anybody looks."""
    lines = [f" 0x0000000000000001 (NEEDED)             Shared library: [{name}]" for name in needed]
    return "\n".join([*lines, *(f"  0x0040:   Name: GLIBC_{version}  Flags: none" for version in versions)])


def test_a_wheel_may_need_the_glibc_that_its_name_promises():
    assert cross_wheel.glibc(read(needed=["libc.so.6", "ld-linux-aarch64.so.1"]), ["libc.so.6"]).startswith(
        "glibc 2.17"
    )


@pytest.mark.parametrize("versions", [["2.17", "2.18"], ["2.34"], []])
def test_a_wheel_that_needs_a_younger_glibc_is_refused(versions):
    with pytest.raises(cross_wheel.WrongWheel, match="glibc"):
        cross_wheel.glibc(read(versions=versions), ["libc.so.6"])


@pytest.mark.parametrize("library", ["libssl.so.3", "libgcc_s.so.1", "libc.so"])
def test_a_wheel_that_needs_a_library_beyond_the_promise_is_refused(library):
    with pytest.raises(cross_wheel.WrongWheel, match=library):
        cross_wheel.glibc(read(), ["libc.so.6", library])


def test_a_wheel_of_another_name_than_its_target_is_refused(tmp_path):
    with pytest.raises(cross_wheel.WrongWheel, match="manylinux_2_17_aarch64"):
        cross_wheel.examine(tmp_path / "tideloop-1-cp311-cp311-linux_aarch64.whl", ARM64)


def test_a_wheel_whose_extension_is_of_this_machine_is_refused_for_arm64(tmp_path):
    wheel = tmp_path / "tideloop-1-cp311-cp311-manylinux_2_17_aarch64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(sys.executable, "tideloop/_native.so")
    if cross_wheel.MACHINES["aarch64"] in machine_of(sys.executable):
        pytest.skip("this machine is arm64 itself")
    with pytest.raises(cross_wheel.WrongWheel, match="not for aarch64"):
        cross_wheel.examine(wheel, ARM64)


def machine_of(program):
    return cross_debian.run(["readelf", "--file-header", program], {})


def test_packages_come_with_what_they_need_up_to_what_every_machine_has(monkeypatch):
    monkeypatch.setattr(cross_debian, "run", lambda command, env: GRAPH)
    found = cross_debian.closure(["rustc-web"], frozenset(["libc6", "binutils"]), {})
    assert sorted(found) == ["libllvm", "libstd-rust-web", "rustc-web", "zlib1g"]


def test_a_package_that_cannot_be_had_is_told_with_the_reason():
    with pytest.raises(cross_debian.CannotBeHad, match="no such luck"):
        cross_debian.run(["sh", "-c", "echo no such luck >&2; exit 100"], {})


@pytest.mark.parametrize(("version", "enough"), [("1.63.0", False), ("1.88.0", True), ("1.100.1", True)])
def test_a_compiler_is_recent_enough_by_number_and_not_by_text(monkeypatch, version, enough):
    monkeypatch.setattr(cross_toolchain, "version_of", lambda rustc: version)
    assert cross_toolchain.recent_enough("rustc") is enough


def test_flags_for_a_target_are_not_for_what_runs_here():
    assert cross.flags("x86_64-unknown-linux-musl") == "CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS"


def test_wheels_are_for_both_c_libraries_on_both_processors():
    assert sorted(target.split("-")[0::3] for target in cross.TARGETS) == [
        ["aarch64", "gnu"],
        ["aarch64", "musl"],
        ["x86_64", "gnu"],
        ["x86_64", "musl"],
    ]
