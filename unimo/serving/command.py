"""`unimo serve`: load a model and answer over HTTP until stopped."""

from __future__ import annotations

import argparse

from modeling_unimo.command_line import command, exit_on_error, positive_int


@command
def main(argv: list[str] | None = None) -> None:
    """Run the server; `SystemExit` says what is wrong with its input.

    Args:
        argv: The words after the command's name; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description="Answer requests for motions and descriptions over HTTP.")
    parser.add_argument(
        "--model", help="folder or Hub name of a UniMo model; default: the small one that comes with the package"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 for all of this machine")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at")
    parser.add_argument("--max_waiting", type=positive_int, default=128, help="requests that may wait, of each kind")
    parser.add_argument("--max_together", type=positive_int, default=16, help="requests answered at the same time")
    parser.add_argument("--max_connections", type=positive_int, default=512, help="open connections")
    arguments = parser.parse_args(argv)
    if not 0 <= arguments.port <= 65535:
        parser.error(f"--port must be 0 to 65535, got {arguments.port}")
    with exit_on_error():
        try:
            import uvicorn

            from unimo.serving.api import create_app
        except ImportError as error:
            raise ImportError(f"unimo serve needs the serve extra: pip install 'unimo[serve]' ({error})") from error
        from modeling_unimo.generate import load_model
        from unimo.serving.engine import Engine

        model, processor = load_model(arguments.model)
    engine = Engine(model, processor, arguments.max_waiting, arguments.max_together)
    uvicorn.run(
        create_app(engine),
        host=arguments.host,
        port=arguments.port,
        limit_concurrency=arguments.max_connections,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
