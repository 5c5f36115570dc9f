"""aiofiles: files by the loop's executors."""

import asyncio
import concurrent.futures

import aiofiles
import aiofiles.os
import aiofiles.tempfile
import pytest


def test_files_are_written_read_and_listed_side_by_side(run, tmp_path):
    async def write(number):
        path = tmp_path / f"file {number}"
        async with aiofiles.open(path, "w") as file:
            for line in range(50):
                await file.write(f"{number} {line}\n")
        async with aiofiles.open(path) as file:
            assert [line async for line in file] == [f"{number} {line}\n" for line in range(50)]
        async with aiofiles.open(path, "rb") as file:
            await file.seek(-5, 2)
            assert await file.read() == f"{number} 49\n".encode()[-5:]
        return (await aiofiles.os.stat(path)).st_size

    async def main():
        sizes = await asyncio.gather(*(write(number) for number in range(40)))
        assert sorted(await aiofiles.os.listdir(tmp_path)) == sorted(f"file {number}" for number in range(40))
        assert sum(sizes) == sum([path.stat().st_size for path in tmp_path.iterdir()])
        with pytest.raises(FileNotFoundError):
            await aiofiles.open(tmp_path / "nowhere" / "file")

    run(main())


def test_temporary_files_and_an_executor_of_ones_own(run):
    async def main():
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            async with aiofiles.tempfile.NamedTemporaryFile("wb+", executor=executor) as file:
                await file.write(bytes(range(256)) * 4096)
                await file.seek(0)
                assert await file.read() == bytes(range(256)) * 4096
        async with aiofiles.tempfile.TemporaryDirectory() as folder:
            await aiofiles.os.makedirs(f"{folder}/a/b")
            assert await aiofiles.os.path.isdir(f"{folder}/a/b")

    run(main())
