"""What /metrics tells: the field's usual figures under vLLM's names, with our prefix and the label model_name."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..errors import EngineError
from ..generation import Finish, Service, Stats

FIRST_TOKEN_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0)
NEXT_TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
WHOLE_S = (0.05, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0)


class EngineFigures(Collector):
    """What the engine says of itself, asked once for each reading."""

    def __init__(self, service: Service, model: str):
        self._service, self._model = service, model

    def collect(self) -> Iterable[Metric]:
        """Gauges of what it is doing, and the use of its prefix cache, its drafts and its experts."""
        try:
            stats = self._service.stats()
        except EngineError:
            stats = Stats(0, 0, 0.0)  # the engine has ended: /health says so
        yield self._figure(GaugeMetricFamily, "num_requests_running", "Requests under way.", stats.running)
        yield self._figure(GaugeMetricFamily, "num_requests_waiting", "Requests that were not scheduled yet.", stats.waiting)
        yield self._figure(GaugeMetricFamily, "kv_cache_usage_perc", "Share of the KV blocks that is taken; 1 is all.", stats.kv_usage)
        yield self._figure(CounterMetricFamily, "prefix_cache_queries", "Prompt tokens looked up in the prefix cache.", stats.prefix.queries)
        yield self._figure(CounterMetricFamily, "prefix_cache_hits", "Prompt tokens found in the prefix cache.", stats.prefix.hits)
        yield self._figure(CounterMetricFamily, "spec_decode_num_draft_tokens", "Draft tokens verified.", stats.drafts.proposed)
        yield self._figure(CounterMetricFamily, "spec_decode_num_accepted_tokens", "Draft tokens accepted.", stats.drafts.accepted)
        yield self._figure(CounterMetricFamily, "eplb_moves", "Times that shared experts have moved between ranks.", stats.experts.moves)
        about = "Load of the busiest rank over the mean, as foreseen by the last move of experts; 0 where they lie as at first."
        yield self._figure(GaugeMetricFamily, "eplb_imbalance", about, stats.experts.imbalance[1] if stats.experts.imbalance else 0.0)

    def _figure(self, kind: type[GaugeMetricFamily] | type[CounterMetricFamily], name: str, about: str, value: float) -> Metric:
        family = kind(f"interlock:{name}", about, labels=["model_name"])
        family.add_metric([self._model], value)
        return family


class Telemetry:
    """The figures of one server; a server has its own registry, so that several fit in a process."""

    def __init__(self, service: Service, model: str):
        self.registry = CollectorRegistry()

        def histogram(name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"interlock:{name}", about, ["model_name"], buckets=buckets, registry=self.registry).labels(model)

        def counter(name: str, about: str) -> Counter:
            return Counter(f"interlock:{name}", about, ["model_name"], registry=self.registry).labels(model)

        self.first_token = histogram("time_to_first_token_seconds", "From the request's arrival to its first token.", FIRST_TOKEN_S)
        self.next_token = histogram("inter_token_latency_seconds", "From one token of an answer to the next.", NEXT_TOKEN_S)
        self.per_token = histogram("request_time_per_output_token_seconds", "Mean over an answer's tokens after the first.", NEXT_TOKEN_S)
        self.whole = histogram("e2e_request_latency_seconds", "From the request's arrival to its end.", WHOLE_S)
        self.queued = histogram("request_queue_time_seconds", "From the request's arrival to its first chunk.", WHOLE_S)
        self.prefill = histogram("request_prefill_time_seconds", "From the request's first chunk to its first token.", WHOLE_S)
        self.decode = histogram("request_decode_time_seconds", "From the request's first token to its last.", WHOLE_S)
        self.inference = histogram("request_inference_time_seconds", "From the request's first chunk to its last token.", WHOLE_S)
        self.prompt_tokens = counter("prompt_tokens", "Tokens of prompts.")
        self.generated_tokens = counter("generation_tokens", "Tokens generated.")
        ended = Counter("interlock:request_success", "Requests ended, by reason.", ["model_name", "finished_reason"], registry=self.registry)
        self.ended = {finish: ended.labels(model, finish.value) for finish in Finish}
        self.registry.register(EngineFigures(service, model))

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)


class Track:
    """The readings of one generation; times are seconds of one clock.

    Args:
        telemetry: told of it. arrived_s: when its request came. prompt_tokens: its length.
    """

    def __init__(self, telemetry: Telemetry, arrived_s: float, prompt_tokens: int):
        self._telemetry, self._arrived_s = telemetry, arrived_s
        self._first_s = self._last_s = arrived_s
        self.tokens = 0
        self.ended = False
        telemetry.prompt_tokens.inc(prompt_tokens)

    def token(self, now_s: float) -> None:
        """A token has come."""
        if self.tokens == 0:
            self._first_s = now_s
            self._telemetry.first_token.observe(now_s - self._arrived_s)
        else:
            self._telemetry.next_token.observe(now_s - self._last_s)
        self._last_s = now_s
        self.tokens += 1
        self._telemetry.generated_tokens.inc()

    def end(self, finish: Finish, now_s: float, begun_s: float | None) -> None:
        """It has ended; only the first call counts. `begun_s`: when its first chunk was scheduled, if it was."""
        if self.ended:
            return
        self.ended = True
        telemetry = self._telemetry
        telemetry.ended[finish].inc()
        telemetry.whole.observe(now_s - self._arrived_s)
        if begun_s is not None:
            telemetry.queued.observe(begun_s - self._arrived_s)
        if self.tokens > 0:
            telemetry.decode.observe(self._last_s - self._first_s)
        if self.tokens > 0 and begun_s is not None:
            telemetry.prefill.observe(self._first_s - begun_s)
            telemetry.inference.observe(self._last_s - begun_s)
        if self.tokens > 1:
            telemetry.per_token.observe((self._last_s - self._first_s) / (self.tokens - 1))
