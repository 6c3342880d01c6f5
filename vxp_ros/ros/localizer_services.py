"""The localizer's services. In every state of the node each of them answers, with success=false and a reason."""

from dataclasses import replace
from typing import TYPE_CHECKING

from std_srvs.srv import SetBool, Trigger

from vxp_ros.srv import LoadMap, Localize

from ..core.config import MatchSettings
from ..core.datatypes import Recognition, Status
from ..core.errors import BadInput
from ..core.map_store import path_of_map
from .conversions import stamp_to_ns
from .jobs import refuse
from .publishers import candidates_message
from .sensors import Bundle

if TYPE_CHECKING:
    from .localizer import Localizer

MOST_CANDIDATES = 100


class LocalizerServices:
    """~/localize, ~/trigger, ~/enable, ~/load_map and ~/clear of a localizer; the slow ones run on its worker."""

    def __init__(self, node: "Localizer"):
        self._node = node
        node.jobs.serve(Localize, "~/localize", self._on_localize)
        node.jobs.serve(Trigger, "~/trigger", self._on_trigger)
        node.jobs.serve(LoadMap, "~/load_map", self._on_load_map)
        node.jobs.serve(Trigger, "~/clear", self._on_clear)
        node.create_service(SetBool, "~/enable", self._on_enable)

    async def _on_localize(self, request: Localize.Request, response: Localize.Response) -> Localize.Response:
        settings = self._node.settings
        match = settings.match
        if request.max_candidates:
            match = replace(match, top_k=min(int(request.max_candidates), MOST_CANDIDATES))

        def fill(answer: Recognition) -> None:
            response.result = candidates_message(answer, self._node.map_id, settings.frames, settings.output)

        return await self._localize(self._given(request), float(request.max_age), match, response, fill)

    async def _on_trigger(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return await self._localize(None, 0.0, self._node.settings.match, response, lambda _answer: None)

    async def _localize(self, given: Bundle | None, max_age: float, match: MatchSettings, response, fill):
        node = self._node
        if node.state != "active":
            return refuse(response, f"the node is {node.state}: activate it first")
        bundle = given or node.sensors.latest
        problem = "" if given else self._staleness(bundle, max_age or node.settings.input.max_age)
        if problem:
            return refuse(response, problem)

        def job() -> None:
            node.sensors.bundles.receive()
            answer, reason = node.answer(bundle, match, is_here=given is None)
            node.count(reason)
            response.success, response.message = answer.status == Status.OK, answer.message
            fill(answer)

        return await node.jobs.run(node.worker, job, response)

    def _staleness(self, bundle: Bundle | None, max_age: float) -> str:
        """Why the latest frame cannot be used; "" when it can. max_age: NaN allows nothing."""
        if bundle is None:
            return "no complete frame has arrived yet: see the diagnostics of the sensors"
        age = (self._node.get_clock().now().nanoseconds - bundle.stamp_ns()) / 1e9
        return f"the latest frame is {age:.1f} s old, {max_age:g} s are allowed" if not age <= max_age else ""

    def _given(self, request: Localize.Request) -> Bundle | None:
        """The cloud and the image that came with the request, as one moment; None when it brought neither."""
        messages = {"lidar": request.points} if len(request.points.data) else {}
        if len(request.image.data):
            messages[self._node.settings.input.cameras[0]] = request.image
        stamps = {name: self._stamp_or_now(message.header.stamp) for name, message in messages.items()}
        return Bundle(stamps, messages) if messages else None

    def _stamp_or_now(self, stamp) -> int:
        try:
            return stamp_to_ns(stamp)
        except BadInput:  # a request needs no stamp
            return self._node.get_clock().now().nanoseconds

    async def _on_load_map(self, request: LoadMap.Request, response: LoadMap.Response) -> LoadMap.Response:
        node = self._node

        def job() -> None:
            place_map = node.load(path_of_map(node.settings.map.root, request.name))
            node.use_map(place_map)
            response.success, response.num_places = True, len(place_map)
            response.message = f"{place_map.map_id}: {len(place_map)} places"

        return await node.jobs.run(node.worker, job, response)

    async def _on_clear(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        def job() -> None:
            self._node.start_anew()
            response.success, response.message = True, "searching anew"

        return await self._node.jobs.run(self._node.worker, job, response)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self._node.sensors is None:
            return refuse(response, f"the node is {self._node.state}: configure it first")
        self._node.enable(bool(request.data))
        is_continuous = self._node.settings.output.continuous
        answers = "answers every frame" if is_continuous else "answers on request only: output.continuous is false"
        response.success, response.message = True, answers if request.data else "paused"
        return response
