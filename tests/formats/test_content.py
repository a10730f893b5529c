"""Content codings: taken off, never trusted, never larger than allowed."""

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import brotli
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from batchway.errors import ReplyTooLarge
from batchway.formats import content
from batchway.formats.content import Undecodable

MIB = 1024 * 1024
BOMB_BYTES = 64 * MIB

Coder = Callable[[bytes], bytes]


def raw_deflate(body: bytes) -> bytes:
    coder = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return coder.compress(body) + coder.flush()


def zstd_of_unknown_size(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False, write_checksum=True).compress(body)


CODERS: dict[str, tuple[str, Coder]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw_deflate": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress),
    "zstd_of_unknown_size": ("zstd", zstd_of_unknown_size),
}
every_coding = pytest.mark.parametrize(("name", "code"), CODERS.values(), ids=CODERS)


@contextmanager
def peak_below(max_bytes: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < max_bytes
    finally:
        tracemalloc.stop()


def bomb(name: str) -> bytes:
    """64 MiB of zeros, made without holding them."""
    zeros = bytes(MIB)
    match name:
        case "gzip" | "deflate":
            coder = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | (16 if name == "gzip" else 0))
            pieces = [coder.compress(zeros) for _ in range(BOMB_BYTES // MIB)]
            return b"".join(pieces) + coder.flush()
        case "br":
            compressor = brotli.Compressor(quality=1)
            pieces = [compressor.process(zeros) for _ in range(BOMB_BYTES // MIB)]
            last: bytes = compressor.finish()
            return b"".join(pieces) + last
        case _:
            writer = zstandard.ZstdCompressor().compressobj()
            pieces = [writer.compress(zeros) for _ in range(BOMB_BYTES // MIB)]
            return b"".join(pieces) + writer.flush()


@every_coding
@given(body=st.binary(max_size=300))
@example(body=b"")
@example(body=b"0123456789" * 30_000)  # several slices of input, several reads of output
def test_body_comes_back(name: str, code: Coder, body: bytes) -> None:
    assert content.decode(code(body), name, len(body)) == body


@every_coding
@given(body=st.binary(max_size=300), cut=st.integers(min_value=1))
@example(body=b"hello, hello, hello", cut=1)
def test_body_that_is_cut_short_is_broken(name: str, code: Coder, body: bytes, cut: int) -> None:
    coded = code(body)
    cut = 1 + cut % (len(coded) - 1) if len(coded) > 1 else 0
    if cut:
        with pytest.raises(Undecodable):
            content.decode(coded[:-cut], name, MIB)


@every_coding
def test_large_body_that_is_cut_short_is_broken(name: str, code: Coder) -> None:
    coded = code(bytes(range(256)) * 5000)
    for cut in (1, 4, 9, len(coded) // 2):
        with pytest.raises(Undecodable):
            content.decode(coded[:-cut], name, 10 * MIB)


@every_coding
def test_one_byte_over_the_limit_is_too_large(name: str, code: Coder) -> None:
    body = b"0123456789" * 2000
    assert content.decode(code(body), name, len(body)) == body
    for limit in (len(body) - 1, 1, 0):
        with pytest.raises(ReplyTooLarge):
            content.decode(code(body), name, limit)


@every_coding
def test_garbage_behind_the_body_is_an_error(name: str, code: Coder) -> None:
    with pytest.raises(Undecodable):
        content.decode(code(b"hello") + b"garbage", name, MIB)


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "deflate", "br", "zstd"])
@given(body=st.binary(min_size=1, max_size=100))
def test_any_bytes_are_decoded_or_refused(name: str, body: bytes) -> None:
    try:
        decoded = content.decode(body, name, 1000)
    except (Undecodable, ReplyTooLarge):
        return
    assert decoded is not None
    assert len(decoded) <= 1000


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_bomb_takes_no_more_memory_than_its_limit_allows(name: str) -> None:
    coded = bomb(name)
    assert len(coded) < MIB
    with peak_below(5 * MIB), pytest.raises(ReplyTooLarge):
        content.decode(coded, name, MIB)


def test_bomb_in_a_bomb_is_bounded_at_each_layer() -> None:
    coded = gzip.compress(bomb("gzip"))
    with peak_below(5 * MIB), pytest.raises(ReplyTooLarge):
        content.decode(coded, "gzip, gzip", MIB)
    with peak_below(5 * MIB), pytest.raises(ReplyTooLarge):
        content.decode(brotli.compress(bomb("zstd")), "zstd, br", MIB)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_small_body_takes_little_memory_whatever_is_allowed(name: str) -> None:
    coded = CODERS[name][1](b"hello")
    content.decode(coded, name, MIB)  # what is loaded once is not counted
    with peak_below(MIB):
        content.decode(coded, name, 512 * MIB)


@pytest.mark.parametrize(("name", "code"), [CODERS["gzip"], CODERS["zstd"]], ids=["gzip", "zstd"])
def test_members_are_joined(name: str, code: Coder) -> None:
    parts = [b"a" * 5000, b"", b"b", b"c" * 70_000, bytes(range(256)) * 40, b""]
    coded = b"".join(map(code, parts))
    whole = b"".join(parts)
    assert content.decode(coded, name, len(whole)) == whole
    with pytest.raises(ReplyTooLarge):
        content.decode(coded, name, len(whole) - 1)
    with pytest.raises(Undecodable):
        content.decode(coded[:-1], name, MIB)


@pytest.mark.parametrize(("name", "code"), [CODERS["gzip"], CODERS["zstd"]], ids=["gzip", "zstd"])
def test_very_many_members_take_time_in_proportion(name: str, code: Coder) -> None:
    """A copy of the rest for each member would take a minute for 10 MiB, with the event loop held up."""
    member = code(b"")
    coded = member * (4 * MIB // len(member))
    started = time.process_time()
    assert content.decode(coded, name, MIB) == b""
    assert time.process_time() - started < 5


def test_zstd_frame_to_skip_is_skipped() -> None:
    skipped = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    frame = zstandard.ZstdCompressor().compress(b"hello")
    assert content.decode(skipped + frame + skipped, "zstd", 100) == b"hello"


def test_zstd_window_is_bounded() -> None:
    """RFC 8878, section 3.1.1.1.2: 8 MiB is what every decoder must support; a frame may ask for more."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    coded = writer.compress(bytes(MIB)) + writer.flush()
    with pytest.raises(Undecodable):
        content.decode(coded, "zstd", 10 * MIB)


@given(
    st.binary(max_size=200),
    st.lists(st.sampled_from(["gzip", "deflate", "br", "zstd"]), min_size=1, max_size=3),
    st.sampled_from([",", ", ", " ,identity,"]),
)
def test_stacked_codings_come_off_in_reverse(body: bytes, names: list[str], separator: str) -> None:
    coded = body
    for name in names:
        coded = CODERS[name][1](coded)
    assert content.decode(coded, separator.join(names).upper(), MIB) == body


@pytest.mark.parametrize("name", ["compress", "gzip, aes128gcm", "dcb", "gzip;q=1", "gzip,gzip,gzip,gzip"])
def test_unknown_coding_is_left_alone(name: str) -> None:
    assert content.decode(gzip.compress(b"x"), name, MIB) is None


@pytest.mark.parametrize("name", ["", "identity", " , identity,"])
def test_no_coding_changes_nothing(name: str) -> None:
    assert content.decode(b"x", name, MIB) == b"x"


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd", "br, gzip"])
def test_coding_of_an_empty_body_is_nothing(name: str) -> None:
    assert content.decode(b"", name, MIB) == b""
