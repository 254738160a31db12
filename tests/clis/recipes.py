"""How each agent CLI is installed and started against the mock model server, at a pinned version. Data."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from tests.clis.model_server import PORT
from tests.e2e import hosts

HOME = str(hosts.HOME)
WORK = f"{HOME}/work"
"""The folder that every program trusts."""
STRANGE = f"{HOME}/strange"
"""A folder that no program has been told of."""
NOBODY = f"{HOME}/nobody"
"""A home in which no program has been set up."""
TRUST = r"(?i)trust"
"""A pattern in each program's question about a strange folder."""
LOGIN = r"(?i)sign in|log ?in|api key|authenticat"
"""A pattern in what each program asks somebody who has not set it up."""
NODE = "22.23.3"
"""The node that runs them all, from npm too: what distributions bring is often too old."""

_SERVER = f"http://127.0.0.1:{PORT}"
_KEY = "sk-ant-dummydummydummydummy1234"


class Recipe(NamedTuple):
    """One program."""

    name: str
    package: str
    version: str
    command: tuple[str, ...]
    """The program and its arguments; the program is a name in the installation."""
    idle: str
    """A pattern on the screen when the program waits for its first input."""
    asks: str
    """A pattern on the screen when the program asks whether it may run a shell command."""
    environment: Mapping[str, str] = {}
    files: Mapping[str, str] = {}
    """What stands in its home before it starts."""
    stranger_files: Mapping[str, str] = {}
    """What stands in the home of somebody who has not set it up."""
    stranger_has_key: bool = True
    """Whether the environment is the same for somebody who has not set it up; if not, nothing of it is there."""
    from_pypi: bool = False
    panels: tuple[str, ...] = ("/help",)
    """Commands that cover the input box with something."""
    unasked: tuple[str, ...] = ()
    """Arguments with which it runs everything without asking."""
    mode_key: str = "BTab"
    """The key that switches to the next of its modes: to plan only, to accept edits …"""
    lacks: tuple[str, ...] = ()
    """Names of screens that it never shows."""
    adds: str = ""
    """A pattern of what it puts into the user's turns by itself."""
    has_tools: bool = True
    """Whether a request of the conversation offers tools, and a side request doesn't."""


RECIPES = {
    recipe.name: recipe
    for recipe in [
        Recipe(
            name="claude",
            package="@anthropic-ai/claude-code",
            version="2.1.330",
            command=("claude", "--permission-mode", "default"),
            idle=r"(?m)^❯",
            adds=r"\s*</?pasted_content[^>]*>\s*",
            asks=r"Do you want to\s+proceed",
            panels=("/help", "/config", "/permissions"),
            unasked=("--allowedTools", "Bash"),
            environment={
                "ANTHROPIC_BASE_URL": _SERVER,
                "ANTHROPIC_API_KEY": _KEY,
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1",
                "DISABLE_ERROR_REPORTING": "1",
                "DISABLE_TELEMETRY": "1",
            },
            files={
                ".claude.json": json.dumps(
                    {
                        "hasCompletedOnboarding": True,
                        "customApiKeyResponses": {"approved": [_KEY[-20:]], "rejected": []},
                        "projects": {WORK: {"hasTrustDialogAccepted": True}},
                    }
                )
            },
            stranger_files={
                ".claude.json": json.dumps(
                    {"hasCompletedOnboarding": True, "projects": {WORK: {"hasTrustDialogAccepted": True}}}
                )
            },
        ),
        Recipe(
            name="codex",
            package="@openai/codex",
            version="0.169.0",
            command=("codex",),
            idle=r"(?m)^  mock default",
            asks=r"Yes, proceed",
            panels=("/model", "/permissions"),
            unasked=("--ask-for-approval", "never", "--sandbox", "danger-full-access"),
            lacks=("trust",),
            environment={"MOCK_KEY": "dummy"},
            files={
                ".codex/config.toml": f"""\
model = "mock"
model_provider = "mock"
check_for_update_on_startup = false

[model_providers.mock]
name = "mock"
base_url = "{_SERVER}/v1"
env_key = "MOCK_KEY"
wire_api = "responses"

[projects."{WORK}"]
trust_level = "trusted"
"""
            },
        ),
        Recipe(
            name="gemini",
            package="@google/gemini-cli",
            version="0.61.0",
            command=("gemini",),
            idle="Type your message",
            asks=r"Allow\s+once",
            panels=("/settings", "/model"),
            unasked=("--yolo",),
            lacks=("login", "ask"),
            environment={"GEMINI_API_KEY": "dummy", "GOOGLE_GEMINI_BASE_URL": _SERVER},
            files={
                ".gemini/settings.json": json.dumps(
                    {
                        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": True}},
                        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
                        "privacy": {"usageStatisticsEnabled": False},
                        "telemetry": {"enabled": False},
                        "model": {"name": "gemini-2.5-flash"},
                    }
                ),
                ".gemini/trustedFolders.json": json.dumps({WORK: "TRUST_FOLDER"}),
            },
        ),
        Recipe(
            name="opencode",
            package="opencode-ai",
            version="1.18.33",
            command=("opencode",),
            idle="Ask anything",
            asks=r"Permission\s+required",
            panels=("/help", "/models"),
            mode_key="Tab",
            lacks=("trust", "login"),
            environment={"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
            files={
                ".config/opencode/opencode.json": json.dumps(
                    {
                        "provider": {
                            "mock": {
                                "npm": "@ai-sdk/openai-compatible",
                                "name": "mock",
                                "options": {"baseURL": f"{_SERVER}/v1", "apiKey": "dummy"},
                                "models": {"mock": {"name": "mock"}},
                            }
                        },
                        "model": "mock/mock",
                        "permission": {"bash": "ask"},
                        "share": "disabled",
                    }
                )
            },
        ),
        Recipe(
            name="copilot",
            package="@github/copilot",
            version="1.0.102",
            command=("copilot",),
            idle=r"(?m)^❯",
            asks=r"to\s+navigate",
            panels=("/help", "/model"),
            unasked=("--allow-all-tools",),
            lacks=("login",),
            adds=r"<current_datetime>.*?</current_datetime>\s*",
            environment={
                "COPILOT_PROVIDER_BASE_URL": f"{_SERVER}/v1",
                "COPILOT_PROVIDER_API_KEY": "dummy",
                "COPILOT_PROVIDER_TYPE": "openai",
                "COPILOT_MODEL": "mock",
                "COPILOT_OFFLINE": "true",
            },
            files={".copilot/config.json": json.dumps({"trusted_folders": [WORK], "banner": "never"})},
        ),
        Recipe(
            name="qwen",
            package="@qwen-code/qwen-code",
            version="0.24.4",
            command=("qwen",),
            idle="Type your message",
            asks=r"allow\s+once",
            panels=("/help", "/settings"),
            unasked=("--yolo",),
            lacks=("ask",),
            stranger_has_key=False,
            environment={"OPENAI_API_KEY": "dummy", "OPENAI_BASE_URL": f"{_SERVER}/v1", "OPENAI_MODEL": "mock"},
            files={
                ".qwen/settings.json": json.dumps(
                    {
                        "security": {"auth": {"selectedType": "openai"}, "folderTrust": {"enabled": True}},
                        "general": {"enableAutoUpdate": False},
                        "privacy": {"usageStatisticsEnabled": False},
                        "telemetry": {"enabled": False},
                    }
                ),
                ".qwen/trustedFolders.json": json.dumps({WORK: "TRUST_FOLDER"}),
            },
        ),
        Recipe(
            name="aider",
            package="aider-chat",
            version="0.86.2",
            command=(
                "aider",
                "--model=openai/mock",
                f"--openai-api-base={_SERVER}/v1",
                "--openai-api-key=dummy",
                "--no-check-update",
                "--analytics-disable",
                "--no-show-model-warnings",
                "--no-show-release-notes",
                "--no-gitignore",
                "--no-git",
                "--max-chat-history-tokens=1000000",
            ),
            idle=r"(?m)^>",
            panels=(),
            asks=r"\(Y\)es",
            environment={"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            files={
                ".aider.model.settings.yml": "- name: openai/mock\n  edit_format: diff\n",
                ".aider/caches/model_prices_and_context_window.json": '{"mock": {}}',
            },
            from_pypi=True,
            lacks=("ask", "trust", "login", "completion", "mode", "shell-mode"),
            adds=r"(?s)\s*# \*SEARCH/REPLACE block\* Rules:.*",
            has_tools=False,
        ),
    ]
}
