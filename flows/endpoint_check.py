"""One real request to an OpenAI-compatible server: which models does it have?"""

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

Answer = frozenset[str] | str  # the models, or why there is no list of them

REMEDIES = {  # what to do about each reason
    "nobody answers": "start the server, or correct the endpoint's base_url",
    "no answer in time": "is the server still loading, or overloaded? Correct base_url, or wait",
    "the key is refused": "the key variable of the endpoint holds no valid key for this server",
    "it fails": "look at that server's own log",
    "no list of models": "this server does not say what it serves; check the endpoint's model by hand",
    "not the OpenAI protocol": "base_url usually ends in /v1",
}


def listed_models(base_url: str, key: str, timeout_s: float) -> Answer:
    """The models that GET {base_url}/models names, or one of the reasons of REMEDIES, with details after a colon."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        request = urllib.request.Request(f"{base_url.rstrip('/')}/models", headers=headers)
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return _models(json.loads(answer.read()))
    except urllib.error.HTTPError as error:
        with error:
            return _refusal(error.code)
    except TimeoutError:
        return "no answer in time"
    except urllib.error.URLError as error:
        return "no answer in time" if isinstance(error.reason, TimeoutError) else f"nobody answers: {error.reason}"
    except (OSError, HTTPException) as error:
        return f"nobody answers: {error}"
    except ValueError:  # no JSON, or a base_url that is no address
        return "not the OpenAI protocol"


def _refusal(code: int) -> str:
    """The reason that an HTTP status stands for."""
    if code in {401, 403}:
        return f"the key is refused: HTTP {code}"
    if code in {404, 405}:
        return "no list of models"
    return f"it fails: HTTP {code}"


def _models(said: Any) -> Answer:
    rows = said.get("data") if isinstance(said, dict) else None
    if not isinstance(rows, list):
        return "not the OpenAI protocol"
    return frozenset(str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row)
