"""The recipes that start a job for each event, taken from the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support import until

from .support import recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

    from .support import Site

OKTA_HOOKS = ("flask", "--app", "myapp", "okta-hooks")


def work(site: Site) -> None:
    """Run the receivers of what is stored."""
    site.run(*OKTA_HOOKS, "worker", "--drain")


def again(site: Site, uuid: str) -> None:
    """Have the receivers of an event run once more, as if their process had died before that was written down."""
    site.run(*OKTA_HOOKS, "replay", uuid)
    work(site)


def test_procrastinate(
    site: Site,
    deliver: Callable[..., None],
    engine: sa.Engine,
    receipts: Callable[[], list[tuple[str, int, int]]],
) -> None:
    """Whether its job waits or has ended, an event that comes again starts no other."""
    pytest.importorskip("procrastinate", reason="the group queues is not installed")
    found = recipe("Procrastinate")
    site.add(found.files)
    site.environment["JOBS_URL"] = site.environment["FLASK_OKTA_HOOKS_INBOX"]
    site.run("procrastinate", "--app", "myapp.jobs.jobs", "schema", "--apply")

    def jobs() -> list[tuple[str, str]]:
        with engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT args, status FROM procrastinate_jobs")
            return [(row.args["user"], row.status) for row in rows]

    deliver("first")
    work(site)
    assert jobs() == [("user-of-first", "todo")]
    again(site, "first")
    assert jobs() == [("user-of-first", "todo")]
    with site.running(found.command):
        until(lambda: jobs() == [("user-of-first", "succeeded")])
    again(site, "first")
    assert jobs() == [("user-of-first", "succeeded")]
    assert [state for state, *_ in receipts()] == ["done"]


@pytest.fixture
def temporal() -> Iterator[tuple[str, list[Any]]]:
    """Return the address of a server that starts workflows as Temporal documents it, and the requests that it got.

    Temporal's own server is no package that could be installed.
    """
    pytest.importorskip("temporalio", reason="the group temporal is not installed")
    grpc = pytest.importorskip("grpc", reason="the group temporal is not installed")
    from concurrent.futures import ThreadPoolExecutor

    from google.protobuf.any_pb2 import Any as AnyMessage
    from temporalio.api.common.v1 import GrpcStatus
    from temporalio.api.enums.v1 import WorkflowIdReusePolicy
    from temporalio.api.errordetails.v1 import WorkflowExecutionAlreadyStartedFailure
    from temporalio.api.workflowservice.v1 import (
        GetSystemInfoRequest,
        GetSystemInfoResponse,
        StartWorkflowExecutionRequest,
        StartWorkflowExecutionResponse,
    )

    requests: list[Any] = []
    only_once = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE

    def start(request: Any, context: Any) -> Any:
        """Start a workflow, which has ended by the time of the next request."""
        is_known = request.workflow_id in [each.workflow_id for each in requests]
        requests.append(request)
        if is_known and request.workflow_id_reuse_policy == only_once:
            detail = AnyMessage()
            detail.Pack(WorkflowExecutionAlreadyStartedFailure(run_id="run"))
            code = grpc.StatusCode.ALREADY_EXISTS
            status = GrpcStatus(code=code.value[0], details=[detail])
            context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
            context.abort(code, "Workflow execution already started.")
        return StartWorkflowExecutionResponse(run_id=f"run-{len(requests)}", started=True)

    def method(function: Callable[..., Any], request: Any, answer: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            function, request.FromString, answer.SerializeToString
        )

    handlers = {
        "GetSystemInfo": method(
            lambda request, context: GetSystemInfoResponse(),
            GetSystemInfoRequest,
            GetSystemInfoResponse,
        ),
        "StartWorkflowExecution": method(
            start, StartWorkflowExecutionRequest, StartWorkflowExecutionResponse
        ),
    }
    server = grpc.server(ThreadPoolExecutor(2))
    service = "temporal.api.workflowservice.v1.WorkflowService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", requests
    server.stop(None).wait()


def test_temporal(
    site: Site,
    deliver: Callable[..., None],
    receipts: Callable[[], list[tuple[str, int, int]]],
    temporal: tuple[str, list[Any]],
) -> None:
    """Each start asks for one id, to be used once, and that it is refused the second time is no failure."""
    from temporalio.common import WorkflowIDReusePolicy

    address, requests = temporal
    site.add(recipe("Temporal").files)
    site.environment["TEMPORAL_ADDRESS"] = address

    deliver("first")
    work(site)
    again(site, "first")

    assert [each.workflow_id for each in requests] == ["okta-first"] * 2
    for each in requests:
        assert each.workflow_id_reuse_policy == WorkflowIDReusePolicy.REJECT_DUPLICATE
        assert each.workflow_type.name == "Onboarding"
        assert each.task_queue.name == "onboarding"
        assert each.input.payloads[0].data == b'"user-of-first"'
    assert [(state, attempts) for state, attempts, _ in receipts()] == [("done", 1)]
