export type Fields = Readonly<Record<string, unknown>>;

/** One kind of the golden cluster: every resource that kube-state-metrics exports by default, and one custom resource. */
export interface GoldenKind {
  readonly apiVersion: string;
  readonly kind: string;
  /** As in paths, and as kube-state-metrics names it in `--resources`. */
  readonly plural: string;
  readonly namespaced: boolean;
  /** Everything but apiVersion, kind and the usual metadata; further metadata under `metadata`. */
  readonly body: (index: number) => Fields;
  /** Patches of subresources after creation, as merge patches, in order: `[['status', {status: …}]]`. */
  readonly patches?: (index: number) => readonly (readonly [subresource: string, patch: Fields])[];
}

/** Fixed moments, so that no value depends on when the test runs. */
export const at = (minute: number): string =>
  `2024-05-${String(1 + (Math.floor(minute / 1440) % 28)).padStart(2, '0')}T${String(Math.floor(minute / 60) % 24).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}:00Z`;

export const status = (fields: Fields): readonly (readonly [string, Fields])[] => [['status', { status: fields }]];

export const owner = (kind: string, index: number): Fields => ({
  ownerReferences: [
    {
      apiVersion: 'example.com/v1',
      kind,
      name: `owner-${index}`,
      uid: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
      controller: index % 2 === 0,
    },
  ],
});

export const selector = { matchLabels: { app: 'golden' } };

export const template: Fields = {
  metadata: { labels: { app: 'golden' } },
  spec: { containers: [{ name: 'app', image: 'registry.example/app:1' }] },
};

/** The k-th of `values`, over and over. */
export const pick = <T>(values: readonly [T, ...T[]], index: number): T => values[index % values.length] ?? values[0];
