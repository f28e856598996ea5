/**
 * A client of Amends that knows its public names and nothing else: reads one JSON command a line on
 * stdin, carries it out by the SDK of TypeScript, and answers in one JSON line on stdout.
 */
import { createInterface } from "node:readline";
import {
  Client,
  Connection,
  ServiceError,
  WithStartWorkflowOperation,
  WorkflowFailedError,
  WorkflowUpdateFailedError,
} from "@temporalio/client";
import type {
  Workflow,
  WorkflowIdConflictPolicy,
  WorkflowIdReusePolicy,
  WorkflowStartOptions,
} from "@temporalio/client";
import { ApplicationFailure, RawValue, TemporalFailure } from "@temporalio/common";

/** An argument as it is, or bytes under the name of an encoding: `{"$raw": "…", "encoding": "…"}`. */
type Argument = unknown;

interface Command {
  id: number;
  call: "start" | "run" | "result" | "update" | "query" | "submit" | "cancel";
  within_ms: number;
  workflow_id: string;
  run_id?: string;
  type?: string;
  task_queue?: string;
  arguments?: Argument[];
  name?: string;
  update_arguments?: Argument[];
  conflict?: WorkflowIdConflictPolicy;
  reuse?: WorkflowIdReusePolicy;
}

interface Told {
  error: string;
  message: string;
  type?: string;
  details?: unknown[];
  retryable?: boolean;
  stack_trace?: string;
  code?: number;
  cause?: Told;
}

function read(argument: Argument): unknown {
  const raw = argument as { $raw?: string; encoding?: string } | null;
  if (typeof raw !== "object" || raw === null || raw.$raw === undefined) return argument;
  return RawValue.fromPayload({
    metadata: { encoding: Buffer.from(raw.encoding ?? "json/plain") },
    data: Buffer.from(raw.$raw, "base64"),
  });
}

function tell(error: unknown): Told {
  if (!(error instanceof Error)) return { error: "not an Error", message: String(error) };
  const told: Told = { error: error.constructor.name, message: error.message };
  if (error instanceof ApplicationFailure) {
    if (error.type) told.type = error.type;
    told.details = error.details ?? [];
    told.retryable = !error.nonRetryable;
  }
  if (error instanceof TemporalFailure) told.stack_trace = error.failure?.stackTrace ?? "";
  const code = (error as { code?: unknown }).code;
  if (typeof code === "number") told.code = code;
  if (error.cause !== undefined && error.cause !== null) told.cause = tell(error.cause);
  return told;
}

function starting(command: Command): WorkflowStartOptions & { args: unknown[] } {
  return {
    workflowId: command.workflow_id,
    taskQueue: command.task_queue ?? "",
    args: (command.arguments ?? []).map(read),
    ...(command.reuse && { workflowIdReusePolicy: command.reuse }),
    ...(command.conflict && { workflowIdConflictPolicy: command.conflict }),
  };
}

async function carryOut(client: Client, command: Command): Promise<unknown> {
  const handle = client.workflow.getHandle(command.workflow_id, command.run_id);
  const name = command.name ?? "";
  const args = (command.update_arguments ?? []).map(read) as [unknown];
  switch (command.call) {
    case "start":
      return (await client.workflow.start(command.type ?? "", starting(command)))
        .firstExecutionRunId;
    case "run":
      return await (await client.workflow.start(command.type ?? "", starting(command))).result();
    case "result":
      return await handle.result();
    case "update":
      return await handle.executeUpdate<unknown, [unknown]>(name, { args });
    case "query":
      return await handle.query<unknown, unknown[]>(name, ...args);
    case "submit":
      return await client.workflow.executeUpdateWithStart<Workflow, unknown, [unknown]>(name, {
        args,
        startWorkflowOperation: new WithStartWorkflowOperation(command.type ?? "", {
          ...starting(command),
          workflowIdConflictPolicy: command.conflict ?? "USE_EXISTING",
        }),
      });
    case "cancel":
      return await handle.cancel().then(() => null);
  }
}

async function answer(client: Client, command: Command): Promise<void> {
  let said: object;
  try {
    const deadline = Date.now() + command.within_ms;
    const value = await client.withDeadline(deadline, () => carryOut(client, command));
    said = { id: command.id, value: value ?? null };
  } catch (error) {
    const failed =
      error instanceof WorkflowFailedError || error instanceof WorkflowUpdateFailedError;
    const from = failed ? "saga" : error instanceof ServiceError ? "server" : "client";
    said = { id: command.id, from, failure: tell(failed ? error.cause : error) };
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

async function main(): Promise<void> {
  const connection = await Connection.connect({ address: process.argv[2] ?? "127.0.0.1:7233" });
  const client = new Client({ connection });
  const under_way = new Set<Promise<void>>();
  for await (const line of createInterface({ input: process.stdin })) {
    const work = answer(client, JSON.parse(line) as Command);
    under_way.add(work);
    void work.finally(() => under_way.delete(work));
  }
  await Promise.all(under_way);
  await connection.close();
}

void main();
