/**
 * The types of the public contract of Amends, for any program in TypeScript: copy this file.
 * Made from `amends schema --all` by `python -m tests.foreign.record_types`.
 */

export type JsonValue = unknown;

/**
 * Input of `AgentSaga`: register an agent that asks on behalf of `user`, or revoke it.
 */
export interface AgentRequest {
  signature?: Signature | null;
  operation_id?: string | null;
  action: "register" | "revoke";
  agent_id: string;
  user?: string | null;
  actor: string;
  reason?: string | null;
  metadata?: {
    [k: string]: JsonValue;
  };
}
/**
 * An Ed25519 signature in hexadecimal digits, the id of its key, and the name of the ledger
 * that it is for, where that has one (docs/signatures.md).
 */
export interface Signature {
  key: string;
  value: string;
  ledger?: string | null;
}
/**
 * Result of `AgentSaga`.
 */
export interface AgentResult {
  unsigned?: boolean;
  state: "registered" | "revoked";
  agent_id: string;
}
/**
 * Hours at which payments are allowed, in the time zone of the policy: on these days, from
 * `start` until before `end`.
 */
export interface AllowedHours {
  /**
   * @minItems 1
   * @maxItems 7
   */
  days: ("mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun")[];
  start: string;
  end: string;
}
/**
 * Argument of the update `approve`. `binding` is the digest of what the person saw: an approval
 * of anything else is refused. `amount_minor`: a smaller amount is approved, and the rest is
 * released.
 */
export interface Approval {
  signature?: Signature | null;
  actor: string;
  reason?: string | null;
  binding?: string | null;
  amount_minor?: number | null;
}
/**
 * Argument of the updates `reject`, `void`, `cancel`: who, and why.
 */
export interface By {
  signature?: Signature | null;
  actor: string;
  reason?: string | null;
}
/**
 * Argument of the update `capture`: all that is left, or `amount_minor` of it. `final`: what is
 * left after that is released. A signed document captures one part: `update_id` makes two of the
 * same amount different.
 */
export interface Capture {
  signature?: Signature | null;
  actor: string;
  reason?: string | null;
  amount_minor?: number | null;
  final?: boolean;
  update_id?: string | null;
}
/**
 * Input of `CaseSaga`: a person closes a case; `evidence` says what became of the
 * difference.
 */
export interface CaseRequest {
  signature?: Signature | null;
  operation_id?: string | null;
  case_id: string;
  evidence: string;
  actor: string;
  reason?: string | null;
  metadata?: {
    [k: string]: JsonValue;
  };
}
/**
 * Result of `CaseSaga`.
 */
export interface CaseResult {
  unsigned?: boolean;
  state: "closed";
  case_id: string;
}
/**
 * Input of `InfrastructureSaga`: the resources that shall be present or absent in an
 * environment. `operation_id` as in a payment.
 */
export interface ChangeRequest {
  signature?: Signature | null;
  operation_id?: string | null;
  environment?: string;
  actor: string;
  reason?: string | null;
  /**
   * @maxItems 200
   */
  present?: Resource[];
  /**
   * @maxItems 200
   */
  absent?: string[];
  force?: boolean;
  allow_irreversible?: boolean;
  metadata?: {
    [k: string]: JsonValue;
  };
}
/**
 * A resource that shall be present. `spec` is validated by the model of its kind.
 */
export interface Resource {
  name: string;
  kind: string;
  spec?: {
    [k: string]: JsonValue;
  };
  /**
   * @maxItems 200
   */
  depends_on?: string[];
}
/**
 * Result of `InfrastructureSaga` and `RollbackSaga`.
 *
 * `unchanged`: nothing was to do; `refused`: the plan was not allowed, nothing was touched;
 * `compensated`: begun and undone, and `steps` says how. `notes` holds what a person should know
 * (an absent name that is not in the ledger).
 */
export interface ChangeResult {
  unsigned?: boolean;
  state: "applied" | "unchanged" | "refused" | "compensated";
  changes?: ResourceChange[];
  reason?: string | null;
  notes?: string[];
  residuals?: string[];
  steps?: StepReport[];
}
/**
 * The change of one resource: its name, its kind and the action.
 */
export interface ResourceChange {
  name: string;
  kind: string;
  action: "create" | "update" | "replace" | "delete";
}
/**
 * How a step ended, for people and programs: what it did at which try, and its undo.
 *
 * `outcome` `unknown` of a step that was undone: nobody ever knew whether it had happened.
 */
export interface StepReport {
  name: string;
  outcome: "started" | "unknown" | "done" | "refused" | "failed";
  tries: number;
  undo_outcome?: ("undone" | "skipped") | null;
  undo_tries?: number;
  residual?: string | null;
}
/**
 * Spending limits in minor units of one currency; None is no limit.
 */
export interface CurrencyLimits {
  max_per_transaction_minor: number;
  daily_limit_minor: number;
  approval_threshold_minor: number;
  daily_count?: number | null;
  weekly_limit_minor?: number | null;
  weekly_count?: number | null;
  monthly_limit_minor?: number | null;
  monthly_count?: number | null;
  total_limit_minor?: number | null;
  total_count?: number | null;
}
/**
 * The destination of a payment: `cbu`, a CBU or CVU of 22 digits, or `iban`, stored in capitals
 * and without spaces. Exactly one of them.
 */
export interface Destination {
  cbu?: string | null;
  iban?: string | null;
}
/**
 * Input of `KeySaga`: register the `public_key` (Ed25519, 64 hexadecimal digits) of `holder`,
 * or revoke the key named `key`. A holder may have several at once.
 */
export interface KeyRequest {
  signature?: Signature | null;
  operation_id?: string | null;
  action: "register" | "revoke";
  holder: string;
  public_key?: string | null;
  key?: string | null;
  valid_from?: string | null;
  valid_until?: string | null;
  actor: string;
  reason?: string | null;
  metadata?: {
    [k: string]: JsonValue;
  };
}
/**
 * Result of `KeySaga`: `key` is the id of the key, by which signatures name it.
 */
export interface KeyResult {
  unsigned?: boolean;
  state: "registered" | "revoked";
  key: string;
}
/**
 * What the adapter itself lists as booked, from `begins_at` until before `ends_at`.
 */
export interface Listing {
  begins_at: string;
  ends_at: string;
}
/**
 * Input of `MandateSaga`: grant the `mandate` to an agent, below `parent` where it is
 * delegated, or revoke it with all below it.
 *
 * All payments under it together may be `amount_minor` minor units of `currency` in `count`
 * payments; equal is allowed. Without `destinations` every account is allowed, without `purposes`
 * every purpose, and none. What a delegation leaves out is as in its parent, and nothing may be
 * wider. A user grants; the agent that holds the parent may delegate; an agent that holds a
 * mandate, or one above it, may revoke it.
 */
export interface MandateRequest {
  signature?: Signature | null;
  operation_id?: string | null;
  action: "grant" | "revoke";
  mandate: string;
  agent_id?: string | null;
  parent?: string | null;
  currency?: string | null;
  amount_minor?: number | null;
  count?: number | null;
  destinations?: string[] | null;
  purposes?: string[] | null;
  valid_from?: string | null;
  valid_until?: string | null;
  actor: string;
  reason?: string | null;
  metadata?: {
    [k: string]: JsonValue;
  };
}
/**
 * Result of `MandateSaga`: `mandate` is the name of the mandate, which payments give.
 */
export interface MandateResult {
  unsigned?: boolean;
  state: "granted" | "revoked";
  mandate: string;
}
/**
 * An amount above zero: `minor` units (cents) of `currency` (ISO 4217).
 */
export interface Money {
  minor: number;
  currency: string;
}
/**
 * Argument of the update `retry`: the step that waits for an operator shall be tried again.
 */
export interface OperatorAction {
  signature?: Signature | null;
  actor: string;
  reason?: string | null;
  step: string;
}
/**
 * Input of `PaymentSaga`. `capture` `manual` waits for the update `capture`, as long as
 * `capture_within` and the policy allow. `mandate` is the budget of the agent that it is paid
 * under, for a `purpose`.
 *
 * Without an `operation_id` the run takes the one in its workflow id: a run that a schedule
 * starts, or one with a start delay.
 */
export interface PaymentRequest {
  signature?: Signature | null;
  operation_id?: string | null;
  agent_id: string;
  amount: Money;
  destination: Destination;
  description?: string;
  capture?: "automatic" | "manual";
  approve_within?: string;
  capture_within?: string | null;
  mandate?: string | null;
  purpose?: string | null;
  metadata?: {
    [k: string]: JsonValue;
  };
}
/**
 * Result of `PaymentSaga`. `reason` is one of the contract's words; `residuals` names what
 * could not be undone, and `steps` how each step of a compensated saga ended. `captured_minor`: so
 * much was captured; with several captures, transfer and reference are those of the first.
 */
export interface PaymentResult {
  unsigned?: boolean;
  state: "captured" | "denied" | "rejected" | "expired" | "voided" | "compensated";
  authorization_id?: string | null;
  transfer_id?: string | null;
  provider_reference?: string | null;
  captured_minor?: number | null;
  reason?: string | null;
  residuals?: string[];
  steps?: StepReport[];
}
/**
 * A person who may approve: in any currency, or up to `limit_minor` minor units of one.
 */
export interface PolicyApprover {
  user: string;
  currency?: string | null;
  limit_minor?: number | null;
}
/**
 * Input of `PolicySaga`: what an agent may spend, in minor units of `currency`. An amount equal
 * to a limit is allowed, equal to the threshold is automatic.
 *
 * `further` are the limits in other currencies. Without `allowed_destinations` every destination
 * is allowed that is not refused, without `hours` every hour, without `approvers` every person
 * approves; `approvals` different people have to. `capture_within`: how long an approved payment
 * waits for its capture (default P7D). `mandate_required`: it pays under a mandate only.
 */
export interface PolicyRequest {
  signature?: Signature | null;
  max_per_transaction_minor: number;
  daily_limit_minor: number;
  approval_threshold_minor: number;
  daily_count?: number | null;
  weekly_limit_minor?: number | null;
  weekly_count?: number | null;
  monthly_limit_minor?: number | null;
  monthly_count?: number | null;
  total_limit_minor?: number | null;
  total_count?: number | null;
  operation_id?: string | null;
  agent_id: string;
  currency: string;
  time_zone?: string;
  further?: {
    [k: string]: CurrencyLimits;
  };
  allowed_destinations?: string[] | null;
  /**
   * @maxItems 1000
   */
  refused_destinations?: string[];
  hours?: AllowedHours[] | null;
  approvers?: PolicyApprover[] | null;
  approvals?: number;
  capture_within?: string | null;
  mandate_required?: boolean;
  actor: string;
  reason?: string | null;
  metadata?: {
    [k: string]: JsonValue;
  };
}
/**
 * Result of `PolicySaga`: the version of the policy that decisions will name.
 */
export interface PolicyResult {
  unsigned?: boolean;
  state: "set";
  agent_id: string;
  policy_version: number;
}
/**
 * One detail of a failure `InvalidInput`: the field (a path such as `present[1].spec.owner`)
 * and the reason, never the value.
 */
export interface Problem {
  field: string;
  reason: string;
}
/**
 * Answer of the query `progress` and of the updates: the state of the saga and of its steps.
 *
 * `state` is a state of the saga; `waits_for` is `approval` or `capture` while it waits for
 * somebody, or the step that is being resolved, needs attention, or is undone again and again;
 * `waits` says of each of them since when, until when, for whom, and the next commands;
 * `decision` is the authorization's state once it is known; `result` once it ended; `repeated`:
 * it is the first answer, which a repeat of the request was given; `unsigned`: the request, or a
 * decision on it, was not signed, as only development allows; `captured_minor` and `left_minor`:
 * of a payment that is captured in parts, what was captured, and what may still be.
 */
export interface Progress {
  saga_id: string;
  kind: string;
  state: string;
  waits_for?: string;
  decision?: string | null;
  reason?: string | null;
  waits?: Wait[];
  steps?: StepProgress[];
  result?: {
    [k: string]: JsonValue;
  } | null;
  repeated?: boolean;
  unsigned?: boolean;
  captured_minor?: number | null;
  left_minor?: number | null;
}
/**
 * One thing that a saga waits for, in the words of the search attributes: `state` is that of
 * `SagaState` (or `orphaned`: no run carries the saga; `paused`: its run is open and does not run;
 * `schedule`),
 * `waits_for` that of `SagaStep`.
 *
 * `whom`: who is expected to act: an actor, `user` for any person, or nobody yet (empty: it is
 * looked up, and an operator is asked at `until`). `undoing`: the undo of the step is what waits.
 * `tries`, read from the ledger, are those on record: of what is tried again at least so many.
 * `commands` are the exact next commands.
 */
export interface Wait {
  waits_for: string;
  state: "running" | "resolving" | "needs_attention" | "compensating" | "orphaned" | "paused" | "schedule" | "case";
  whom: string;
  since?: string | null;
  until?: string | null;
  undoing?: boolean;
  tries?: number;
  why?: string | null;
  commands?: string[];
}
/**
 * One step as `progress` shows it.
 *
 * `unknown`: its outcome is in doubt, and it is to be undone. `tries` of the step, or of its undo,
 * had no success so far, or are those that the undo took; 0 of a step that is done, refused or
 * failed. Read from the ledger, they are those on record, so that of a step or an undo that is
 * tried again they may be fewer. `verbs` are the updates that it takes from an operator now.
 * `since` when it has been in that state; `until` then an operator is asked.
 */
export interface StepProgress {
  name: string;
  state:
    | "running"
    | "unknown"
    | "resolving"
    | "needs_attention"
    | "done"
    | "refused"
    | "failed"
    | "undoing"
    | "undone"
    | "skipped";
  detail?: string | null;
  tries?: number;
  verbs?: ("retry" | "skip" | "resolve")[];
  since?: string | null;
  until?: string | null;
}
/**
 * Input of `ReconcileSaga`: the bank's file, or the adapter's own list, or all files of the
 * folder that are not on record (`arrived`), compared with the transfers of the worker's adapter.
 *
 * A booking may come as late as `booked_within` after its transfer; until then it is not missing.
 * `time_zone` is that of days and times which name none.
 */
export interface ReconcileRequest {
  signature?: Signature | null;
  operation_id?: string | null;
  statement?: StatementFile | null;
  listing?: Listing | null;
  arrived?: boolean;
  booked_within?: string;
  time_zone?: string;
  actor: string;
  reason?: string | null;
  metadata?: {
    [k: string]: JsonValue;
  };
}
/**
 * A file in the folder of the worker's setting `AMENDS_STATEMENTS`, and its SHA-256.
 */
export interface StatementFile {
  name: string;
  sha256: string;
}
/**
 * Result of `ReconcileSaga`: `agreed`, or `differences`, each with a case, or `refused`: the
 * file can't be used, for `reason` and `detail`, and nothing of it was.
 *
 * `repeated`: the same file was reconciled before, and this is what it came to then. Of `arrived`
 * the figures are those of `files` files, of which the refused ones are in `detail`.
 */
export interface ReconcileResult {
  unsigned?: boolean;
  state: "agreed" | "differences" | "refused";
  statement_id?: string | null;
  matched?: number;
  differences?: number;
  kinds?: {
    [k: string]: number;
  };
  awaited?: number;
  repeated?: boolean;
  files?: number;
  reason?: string | null;
  detail?: string | null;
}
/**
 * Result of `RecoverySaga`: the saga was carried on and ended in `state` with `result`; or
 * there was nothing to do: it had `ended`, is `carried` by another run, or is `open` after all.
 */
export interface Recovered {
  saga_id: string;
  how: "recovered" | "ended" | "carried" | "open";
  state?: string | null;
  result?: {
    [k: string]: JsonValue;
  } | null;
}
/**
 * Input of `RecoverySaga`: the orphaned saga, and the epoch in which its run was lost.
 */
export interface RecoveryRequest {
  saga_id: string;
  epoch: number;
  actor?: string | null;
  reason?: string | null;
  /**
   * @maxItems 10
   */
  gone?: string[];
}
/**
 * Input of `RefundSaga`: a person asks for money of a captured payment back. `payment` is its
 * workflow id or its operation id; without an `amount` it is all that is left.
 */
export interface RefundRequest {
  signature?: Signature | null;
  operation_id?: string | null;
  payment: string;
  amount?: Money | null;
  reason: string;
  actor: string;
  metadata?: {
    [k: string]: JsonValue;
  };
}
/**
 * Result of `RefundSaga`: `refunded`, `denied` for `reason`, one of the contract's words,
 * `voided` (cancelled before it was sent), or `failed`: the provider did not carry it out, and the
 * amount may be refunded by another. `steps` says how each step ended where some was undone.
 */
export interface RefundResult {
  unsigned?: boolean;
  state: "refunded" | "denied" | "voided" | "failed";
  refund_id?: string | null;
  transfer_id?: string | null;
  provider_reference?: string | null;
  amount_minor?: number | null;
  currency?: string | null;
  reason?: string | null;
  residuals?: string[];
  steps?: StepReport[];
}
/**
 * Argument of the update `resolve`: the outcome of the step, and the evidence for it (a
 * reference of the provider, a ticket). `outcome` of an undo is `undone`, which may be left
 * out.
 */
export interface Resolve {
  signature?: Signature | null;
  actor: string;
  reason?: string | null;
  step: string;
  evidence: string;
  outcome?: ("done" | "failed" | "undone") | null;
}
/**
 * Input of `RollbackSaga`: bring resources back to their state at the point `to`.
 *
 * `to` is `before:CHANGE` (an operation id), a time with a zone, or a position in the log;
 * `resources` limits it to these names. `operation_id` as in a payment.
 */
export interface RollbackRequest {
  signature?: Signature | null;
  operation_id?: string | null;
  to: string;
  environment?: string;
  resources?: string[] | null;
  actor: string;
  reason?: string | null;
  force?: boolean;
  allow_irreversible?: boolean;
  metadata?: {
    [k: string]: JsonValue;
  };
}
/**
 * Argument of the update `skip`: the undo of the step is given up, for this reason.
 */
export interface Skip {
  signature?: Signature | null;
  actor: string;
  reason: string;
  step: string;
}
/**
 * Input of `SweepWorkflow`. An operator may go on where a sweep stopped: `all`, although many
 * sagas look orphaned at once; `gone`, the ids of namespaces that will never come back.
 */
export interface SweepRequest {
  actor?: string | null;
  reason?: string | null;
  all?: boolean;
  /**
   * @maxItems 10
   */
  gone?: string[];
}
/**
 * Result of `SweepWorkflow`: the number of `open_sagas`, the number of these that look orphaned
 * (`lost`), and the sagas that were handed to a `RecoverySaga` (`recovering`). `alerts` are for an
 * operator. `stopped`: open runs that do not run, such as paused ones, and what to do, a sentence
 * each. `left_alone` more look orphaned within the grace time (`AMENDS_SWEEP_GRACE`), which ends
 * at `left_until`, by saga, of the first of them.
 */
export interface Swept {
  open_sagas: number;
  lost: number;
  recovering?: string[];
  alerts?: string[];
  stopped?: string[];
  left_alone?: number;
  left_until?: {
    [k: string]: string;
  };
}
/** The types of failures that a program may compare. */
export type FailureType =
  | "InvalidInput"
  | "operation_id_reused"
  | "operation_in_progress"
  | "not_allowed"
  | "needs_attention";
/** Workflow id `payment/{operation_id}`, task queue `amends-payments`. */
export type PaymentSaga = (input: PaymentRequest) => Promise<PaymentResult>;
/** The updates of `PaymentSaga`, each with its argument; they answer with `Progress`. */
export interface PaymentSagaUpdates {
  submit: PaymentRequest;
  approve: Approval;
  reject: By;
  capture: Capture;
  void: By;
  cancel: By;
  retry: OperatorAction;
  skip: Skip;
  resolve: Resolve;
}
/** Workflow id `refund/{operation_id}`, task queue `amends-payments`. */
export type RefundSaga = (input: RefundRequest) => Promise<RefundResult>;
/** The updates of `RefundSaga`, each with its argument; they answer with `Progress`. */
export interface RefundSagaUpdates {
  submit: RefundRequest;
  cancel: By;
  retry: OperatorAction;
  skip: Skip;
  resolve: Resolve;
}
/** Workflow id `agent/{operation_id}`, task queue `amends-payments`. */
export type AgentSaga = (input: AgentRequest) => Promise<AgentResult>;
/** The updates of `AgentSaga`, each with its argument; they answer with `Progress`. */
export interface AgentSagaUpdates {
  submit: AgentRequest;
  cancel: By;
  retry: OperatorAction;
  skip: Skip;
  resolve: Resolve;
}
/** Workflow id `policy/{operation_id}`, task queue `amends-payments`. */
export type PolicySaga = (input: PolicyRequest) => Promise<PolicyResult>;
/** The updates of `PolicySaga`, each with its argument; they answer with `Progress`. */
export interface PolicySagaUpdates {
  submit: PolicyRequest;
  cancel: By;
  retry: OperatorAction;
  skip: Skip;
  resolve: Resolve;
}
/** Workflow id `mandate/{operation_id}`, task queue `amends-payments`. */
export type MandateSaga = (input: MandateRequest) => Promise<MandateResult>;
/** The updates of `MandateSaga`, each with its argument; they answer with `Progress`. */
export interface MandateSagaUpdates {
  submit: MandateRequest;
  cancel: By;
  retry: OperatorAction;
  skip: Skip;
  resolve: Resolve;
}
/** Workflow id `key/{operation_id}`, task queue `amends-payments`. */
export type KeySaga = (input: KeyRequest) => Promise<KeyResult>;
/** The updates of `KeySaga`, each with its argument; they answer with `Progress`. */
export interface KeySagaUpdates {
  submit: KeyRequest;
  cancel: By;
  retry: OperatorAction;
  skip: Skip;
  resolve: Resolve;
}
/** Workflow id `change/{operation_id}`, task queue `amends-infrastructure`. */
export type InfrastructureSaga = (input: ChangeRequest) => Promise<ChangeResult>;
/** The updates of `InfrastructureSaga`, each with its argument; they answer with `Progress`. */
export interface InfrastructureSagaUpdates {
  submit: ChangeRequest;
  cancel: By;
  retry: OperatorAction;
  skip: Skip;
  resolve: Resolve;
}
/** Workflow id `rollback/{operation_id}`, task queue `amends-infrastructure`. */
export type RollbackSaga = (input: RollbackRequest) => Promise<ChangeResult>;
/** The updates of `RollbackSaga`, each with its argument; they answer with `Progress`. */
export interface RollbackSagaUpdates {
  submit: RollbackRequest;
  cancel: By;
  retry: OperatorAction;
  skip: Skip;
  resolve: Resolve;
}
/** Workflow id `reconcile/{operation_id}`, task queue `amends-payments`. */
export type ReconcileSaga = (input: ReconcileRequest) => Promise<ReconcileResult>;
/** The updates of `ReconcileSaga`, each with its argument; they answer with `Progress`. */
export interface ReconcileSagaUpdates {
  submit: ReconcileRequest;
  cancel: By;
  retry: OperatorAction;
  skip: Skip;
  resolve: Resolve;
}
/** Workflow id `case/{operation_id}`, task queue `amends-payments`. */
export type CaseSaga = (input: CaseRequest) => Promise<CaseResult>;
/** The updates of `CaseSaga`, each with its argument; they answer with `Progress`. */
export interface CaseSagaUpdates {
  submit: CaseRequest;
  cancel: By;
  retry: OperatorAction;
  skip: Skip;
  resolve: Resolve;
}
/** Workflow id `recovery/{saga_id}/{epoch}`, task queue `amends-sweep`. */
export type RecoverySaga = (input: RecoveryRequest) => Promise<Recovered>;
/** Workflow id `sweep`, task queue `amends-sweep`. */
export type SweepWorkflow = (input: SweepRequest) => Promise<Swept>;
