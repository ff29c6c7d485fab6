import { describe, expect, it } from 'vitest';
import { explainRefusal } from './permission.ts';

const cases = [
  {
    said: 'unshare: unshare failed: No space left on device',
    remedy: 'sysctl user.max_user_namespaces',
  },
  { said: 'unshare: unshare failed: Operation not permitted', remedy: 'kernel.unprivileged_userns_clone=1' },
  {
    said: 'unshare: write failed /proc/self/uid_map: Operation not permitted',
    remedy: 'kernel.apparmor_restrict_unprivileged_userns=0',
  },
  { said: 'mount: /proc: permission denied', remedy: '--privileged' },
  { said: 'unshare: mount /proc failed: Operation not permitted', remedy: 'parts of /proc are masked' },
];

describe('the refusal of a namespace', () => {
  it.for(cases)('is one sentence with the remedy for: $said', ({ said, remedy }) => {
    const sentence = explainRefusal(`${said}\nmore noise`, false);
    expect(sentence).toContain(said);
    expect(sentence).toContain(remedy);
    expect(sentence).not.toContain('\n');
  });

  it('does not tell root to become root', () => {
    expect(explainRefusal('unshare: unshare failed: Operation not permitted', true)).not.toContain('run as root');
  });
});
