"""Standard input and output as asyncio streams."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def standard_streams() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a reader of standard input and a writer to standard output."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    input_transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    output_transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), sys.stdout.buffer
    )
    try:
        yield reader, asyncio.StreamWriter(output_transport, protocol, None, loop)
    finally:
        output_transport.close()
        input_transport.close()
