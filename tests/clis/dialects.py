"""How four kinds of model server are spoken to: what a request says, and how an answer is streamed. Pure."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple

Json = dict[str, Any]


class Asked(NamedTuple):
    """What matters of a request."""

    turns: list[list[str]]
    """The user's turns, each as its texts; what a tool has said is not the user's."""
    tools: Mapping[str, Json]
    """The tools that the model may call, each with the JSON schema of its arguments. A side request has none."""
    is_result: bool
    """The newest thing in it is what a tool has said."""
    streams: bool
    told: list[str]
    """All that the user and the tools have said, in its order."""
    calls: list[str]
    """The arguments of each tool that the model has called, as JSON."""


class Call(NamedTuple):
    """The model calls a tool."""

    tool: str
    arguments: Json


Part = str | Call
Parts = Iterable[Part]
_NUMBERS = count(1)
"""No two calls of a conversation bear the same."""
Events = Iterator[tuple[str, Json | str]]


class Dialect(NamedTuple):
    """A kind of model server."""

    read: Callable[[Json], Asked]
    stream: Callable[[Parts], Events]
    whole: Callable[[str], Json]


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [block["text"] for block in content if block.get("text")] if isinstance(content, list) else []


def _told(content: object) -> list[str]:
    """Return the texts of what somebody said, be they in a tool's result."""
    if isinstance(content, list):
        return [text for block in content for text in _told(block)]
    if isinstance(content, dict):
        return [text for key in ("text", "content", "output", "response") for text in _told(content.get(key))]
    return [content] if isinstance(content, str) else []


def _turns(messages: Iterable[Json], texts: Callable[[Json], list[str]]) -> list[list[str]]:
    return [turn for message in messages if message.get("role") == "user" and (turn := texts(message))]


# Anthropic, /v1/messages: https://docs.anthropic.com/en/api/messages-streaming


def _read_anthropic(body: Json) -> Asked:
    last = body["messages"][-1]["content"]
    blocks = [block for each in body["messages"] if isinstance(each["content"], list) for block in each["content"]]
    return Asked(
        turns=_turns(body["messages"], lambda message: _texts(message["content"])),
        tools={tool["name"]: tool.get("input_schema", {}) for tool in body.get("tools", [])},
        is_result=isinstance(last, list) and any(block["type"] == "tool_result" for block in last),
        streams=body.get("stream", False),
        told=_told([message for message in body["messages"] if message["role"] == "user"]),
        calls=[json.dumps(block["input"]) for block in blocks if block["type"] == "tool_use"],
    )


def _anthropic(text: str) -> Json:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "mock",
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": "end_turn" if text else None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def _stream_anthropic(parts: Parts) -> Events:
    yield "message_start", {"type": "message_start", "message": _anthropic("")}
    reason = "end_turn"
    for index, part in enumerate(parts):
        if isinstance(part, Call):
            reason = "tool_use"
            block: Json = {"type": "tool_use", "id": f"toolu_{next(_NUMBERS)}", "name": part.tool, "input": {}}
            delta: Json = {"type": "input_json_delta", "partial_json": json.dumps(part.arguments)}
        else:
            block = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": part}
        yield "content_block_start", {"type": "content_block_start", "index": index, "content_block": block}
        yield "content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}
        yield "content_block_stop", {"type": "content_block_stop", "index": index}
    end = {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 1}}
    yield "message_delta", end
    yield "message_stop", {"type": "message_stop"}


# OpenAI, /chat/completions: https://platform.openai.com/docs/api-reference/chat-streaming


def _read_chat(body: Json) -> Asked:
    functions = [tool["function"] for tool in body.get("tools") or []]
    return Asked(
        turns=_turns(body["messages"], lambda message: _texts(message.get("content"))),
        tools={function["name"]: function.get("parameters", {}) for function in functions},
        is_result=body["messages"][-1]["role"] == "tool",
        streams=body.get("stream", False),
        told=_told([message for message in body["messages"] if message["role"] in {"user", "tool"}]),
        calls=[
            call["function"]["arguments"] for message in body["messages"] for call in message.get("tool_calls") or []
        ],
    )


def _chunk(delta: Json, reason: str | None = None) -> Json:
    return {
        "id": "chat_1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "mock",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }


def _stream_chat(parts: Parts) -> Events:
    yield "", _chunk({"role": "assistant", "content": ""})
    reason = "stop"
    for part in parts:
        if isinstance(part, Call):
            reason = "tool_calls"
            function = {"name": part.tool, "arguments": json.dumps(part.arguments)}
            call = {"index": 0, "id": f"call_{next(_NUMBERS)}", "type": "function", "function": function}
            yield "", _chunk({"tool_calls": [call]})
        else:
            yield "", _chunk({"content": part})
    yield "", _chunk({}, reason) | {"usage": _USAGE}
    yield "", "[DONE]"


_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def _chat(text: str) -> Json:
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "chat_1", "object": "chat.completion", "created": 1, "choices": choices, "usage": _USAGE}


# OpenAI, /responses: https://platform.openai.com/docs/api-reference/responses-streaming


def _read_responses(body: Json) -> Asked:
    functions = [tool for tool in body.get("tools", []) if tool["type"] == "function"]
    return Asked(
        turns=_turns(body["input"], lambda message: _texts(message["content"])),
        tools={function["name"]: function.get("parameters", {}) for function in functions},
        is_result=body["input"][-1].get("type", "").endswith("_output"),
        streams=body.get("stream", False),
        told=_told([item for item in body["input"] if item.get("role", "user") == "user"]),
        calls=[item["arguments"] for item in body["input"] if item.get("type") == "function_call"],
    )


def _responses(items: list[Json]) -> Json:
    usage = {
        "input_tokens": 1,
        "input_tokens_details": None,
        "output_tokens": 1,
        "output_tokens_details": None,
        "total_tokens": 2,
    }
    return {"id": "resp_1", "output": items, "usage": usage}


def _spoken(text: str) -> Json:
    content = [{"type": "output_text", "text": text}]
    return {"type": "message", "id": "item_1", "role": "assistant", "content": content}


def _stream_responses(parts: Parts) -> Events:
    yield "response.created", {"type": "response.created", "response": {"id": "resp_1"}}
    said = ""
    items: list[Json] = []
    for part in parts:
        if isinstance(part, Call):
            arguments = json.dumps(part.arguments)
            items.append(
                {
                    "type": "function_call",
                    "call_id": f"call_{next(_NUMBERS)}",
                    "name": part.tool,
                    "arguments": arguments,
                }
            )
            continue
        if not said:
            yield "response.output_item.added", {"type": "response.output_item.added", "item": _spoken("")}
        said += part
        yield "response.output_text.delta", {"type": "response.output_text.delta", "delta": part}
    if said:
        items.insert(0, _spoken(said))
    for item in items:
        yield "response.output_item.done", {"type": "response.output_item.done", "item": item}
    yield "response.completed", {"type": "response.completed", "response": _responses(items)}


# Gemini, models/…:streamGenerateContent: https://ai.google.dev/api/generate-content


def _read_gemini(body: Json) -> Asked:
    parts = [part for message in body["contents"] for part in message["parts"]]
    declared = [item for tool in body.get("tools", []) for item in tool.get("functionDeclarations", [])]
    return Asked(
        turns=_turns(body["contents"], lambda message: _texts(message["parts"])),
        tools={item["name"]: item.get("parametersJsonSchema") or item.get("parameters", {}) for item in declared},
        is_result=any("functionResponse" in part for part in body["contents"][-1]["parts"]),
        streams=True,
        told=_told([part.get("functionResponse", part) for part in parts]),
        calls=[json.dumps(part["functionCall"]["args"]) for part in parts if "functionCall" in part],
    )


def _candidate(part: Json, reason: str | None = None) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": [part]}, "index": 0}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return {"candidates": [candidate | ({"finishReason": reason} if reason else {})], "usageMetadata": usage}


def _stream_gemini(parts: Parts) -> Events:
    for part in parts:
        if isinstance(part, Call):
            yield "", _candidate({"functionCall": {"name": part.tool, "args": part.arguments}})
        else:
            yield "", _candidate({"text": part})
    yield "", _candidate({"text": ""}, "STOP")


DIALECTS = {
    "/messages": Dialect(_read_anthropic, _stream_anthropic, _anthropic),
    "/chat/completions": Dialect(_read_chat, _stream_chat, _chat),
    "/responses": Dialect(_read_responses, _stream_responses, lambda text: _responses([_spoken(text)])),
    ":streamGenerateContent": Dialect(_read_gemini, _stream_gemini, lambda text: _candidate({"text": text}, "STOP")),
    ":generateContent": Dialect(
        lambda body: _read_gemini(body)._replace(streams=False),
        _stream_gemini,
        lambda text: _candidate({"text": text}, "STOP"),
    ),
}
"""By the end of the request's path."""


def example_call(schema: Json, command: str, *, escalates: bool = True) -> Json:
    """Return the least arguments that a tool's JSON schema allows, with a shell command where one is asked for.

    Where a sandbox can be left, it is, unless nothing ``escalates``.

    >>> example_call({"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}, "ls")
    {'command': 'ls'}
    """
    # Codex asks a person only when the model says that its sandbox has to be left.
    wanted = {*schema.get("required", []), *(("sandbox_permissions", "justification") if escalates else ())}
    return {key: _example(value, command, key) for key, value in schema.get("properties", {}).items() if key in wanted}


def _example(schema: Json, command: str, name: str = "") -> object:
    if "enum" in schema:
        return "require_escalated" if "require_escalated" in schema["enum"] else schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _example(schema[key][0], command, name)
    match str(schema.get("type", "string")).lower():
        case "object":
            return example_call(schema, command)
        case "array" if name == "command":
            return ["sh", "-c", command]
        case "array":
            return [_example(schema["items"], command) for _ in range(max(2, schema.get("minItems", 2)))]
        case "boolean":
            return False
        case "integer" | "number":
            return 1000
    if name == "sandbox_permissions":
        return "require_escalated"
    return command if name in {"command", "cmd"} else "what it is for"
