import type { z } from 'zod';

/**
 * A rule that plain OpenAPI cannot say. It is written twice on purpose: as CEL for the API server, and as a function
 * for objects that got past it (stored before the rule existed, or served by a server with the rule removed).
 */
export interface Rule<T> {
  /** CEL over `self`; with `oldSelf` it is a transition rule, checked by the API server on updates only. */
  readonly cel: string;
  readonly message: string;
  /** JSON path of the field to blame, `.minShards`, relative to where the rule stands. */
  readonly fieldPath?: string;
  /** The same rule in TypeScript: true when the value is fine. Absent for transition rules. */
  readonly check?: (value: T) => boolean;
}

/** The schema with the rules in its metadata, for the CRD, and in its checks, for the parse. */
export function withRules<S extends z.ZodType>(schema: S, rules: readonly Rule<z.output<S>>[]): S {
  const checked = schema.superRefine((value, context) => {
    for (const { check, message, fieldPath } of rules) {
      if (check === undefined || check(value)) continue;
      context.addIssue({ code: 'custom', message, path: fieldPath?.split('.').filter((part) => part !== '') ?? [] });
    }
  });
  return checked.meta({
    'x-kubernetes-validations': rules.map(({ cel, message, fieldPath }) => ({
      rule: cel,
      message,
      ...(fieldPath === undefined ? {} : { fieldPath }),
    })),
  });
}
