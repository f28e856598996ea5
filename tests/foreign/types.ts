/**
 * Reads the contract as `amends schema --all` prints it on stdin, and writes its types in TypeScript
 * on stdout.
 */
import { compile } from "json-schema-to-typescript";
import { text } from "node:stream/consumers";

type Ref = { $ref: string };

interface Workflow {
  workflow_id: string;
  task_queue: string;
  input: Ref;
  result: Ref;
  updates: Record<string, { argument: Ref }>;
}

interface Contract {
  workflows: Record<string, Workflow>;
  failures: Record<string, unknown>;
  $defs: Record<string, object>;
}

const HEAD = `/**
 * The types of the public contract of Amends, for any program in TypeScript: copy this file.
 * Made from \`amends schema --all\` by \`python -m tests.foreign.record_types\`.
 */

`;
// What the compiler says of each definition, and the schema that only holds them.
const NOISE = / \*\n \* This interface was referenced by `All`'s JSON-Schema\n \* via the `definition` "\w+".\n/g;
const ALONE = /\/\*\*\n \* This interface was referenced by `All`'s JSON-Schema\n \* via the `definition` "\w+".\n \*\/\n/g;
const HOLDER = /export interface All \{[^}]*\}\n/;

const named = (ref: Ref) => ref.$ref.slice(ref.$ref.lastIndexOf("/") + 1);

function workflowTypes([name, workflow]: [string, Workflow]): string {
  const updates = Object.entries(workflow.updates);
  const signature = `(input: ${named(workflow.input)}) => Promise<${named(workflow.result)}>`;
  const lines = [
    `/** Workflow id \`${workflow.workflow_id}\`, task queue \`${workflow.task_queue}\`. */`,
    `export type ${name} = ${signature};`,
  ];
  if (updates.length > 0) {
    lines.push(
      `/** The updates of \`${name}\`, each with its argument; they answer with \`Progress\`. */`,
      `export interface ${name}Updates {`,
      ...updates.map(([update, { argument }]) => `  ${update}: ${named(argument)};`),
      "}",
    );
  }
  return lines.join("\n") + "\n";
}

async function main(): Promise<void> {
  const contract = JSON.parse(await text(process.stdin)) as Contract;
  const models = await compile({ title: "All", $defs: contract.$defs }, "All", {
    bannerComment: "",
    unreachableDefinitions: true,
    ignoreMinAndMaxItems: true,
  });
  const failures = Object.keys(contract.failures).map((name) => JSON.stringify(name));
  process.stdout.write(
    HEAD +
      models.replace(ALONE, "").replace(NOISE, "").replace(HOLDER, "").trimStart() +
      "/** The types of failures that a program may compare. */\n" +
      `export type FailureType =\n${failures.map((name) => `  | ${name}`).join("\n")};\n` +
      Object.entries(contract.workflows).map(workflowTypes).join(""),
  );
}

void main();
