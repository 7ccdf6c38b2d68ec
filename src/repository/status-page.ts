/** The page that administrators see in a browser: plain HTML, nothing to click. */
import type { Domain } from '../core/domain.ts';
import type { MemberInfo, RepositoryStatistics } from '../remote/repository-messages.ts';

export interface StatusPageData {
  domain: Domain;
  members: readonly MemberInfo[];
  statistics: RepositoryStatistics;
}

export function statusPage({ domain, members, statistics }: StatusPageData): string {
  const { minBytes, normalBytes, maxBytes } = domain.cut;
  const kib = (bytes: number) => `${Math.round(bytes / 1024)} KiB`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Covault signature repository</title>
<style>body{font:16px sans-serif;margin:2em}td,th{padding:.2em 1em;text-align:left}.n{text-align:right}</style>
<h1>Signature repository</h1>
<p>Domain ${escaped(domain.id)}, blocks of ${kib(minBytes)} to ${kib(maxBytes)}, mostly ${kib(normalBytes)}.</p>
<p>${statistics.live} of ${statistics.members} members are live. The map has ${statistics.digests} blocks and recipes
and takes ${kib(statistics.storedBytes)}.</p>
<table>
<tr><th>Member<th>Role<th>Live<th>Address<th class="n">Holdings<th class="n">Found missing<th class="n">Load<th>Last seen
${members.map(row).join('\n')}
</table>
</html>
`;
}

function row(member: MemberInfo): string {
  const seen = member.seenMs === undefined ? 'never' : new Date(member.seenMs).toISOString();
  const texts = [member.name, member.role, member.live ? 'yes' : 'no', member.url ?? ''].map(
    (text) => `<td>${escaped(text)}`,
  );
  const numbers = [member.holdings, member.missing, member.load].map((number) => `<td class="n">${number}`);
  return `<tr>${texts.join('')}${numbers.join('')}<td>${escaped(seen)}`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
