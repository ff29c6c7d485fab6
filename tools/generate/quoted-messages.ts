/** Messages that a page quotes: inline code of a few words. `…` stands for what differs from case to case. */
export function quotedMessages(markdown: string): readonly string[] {
  const text = markdown.replace(/```[\s\S]*?```/g, '');
  return [...text.matchAll(/(`+)([\s\S]*?[^`])\1(?!`)/g)]
    .map(([, , quote = '']) => quote.replace(/\s+/g, ' ').trim())
    .filter((quote) => windowsOf(quote).length >= 2);
}

/** Share of a quote's groups of three words that the sources have, 0 to 1. Names and figures come in at run time. */
export function shareFound(quote: string, code: string): number {
  const windows = windowsOf(quote);
  return windows.filter((window) => code.includes(window)).length / windows.length;
}

/** Sources as one text in which a message stands as it is written: without quotes, joints and interpolations. */
export function codeText(sources: Iterable<string>): string {
  return [...sources]
    .join('\n')
    .replace(/['"`]\s*\+\s*['"`]/g, '')
    .replace(/\\(['"`])/g, '$1')
    .replace(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, ' … ')
    .replace(/\s+/g, ' ');
}

function windowsOf(quote: string): readonly string[] {
  const words = quote.replace(/…/g, ' … ').split(/\s+/).filter(Boolean);
  return words
    .slice(2)
    .map((_, at) => words.slice(at, at + 3))
    .filter((window) => !window.some((word) => word === '…' || /\d/.test(word)))
    .map((window) => window.join(' '));
}
