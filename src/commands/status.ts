/** `covault status`: what the daemon of this state directory does. */
import { CovaultError } from '../core/errors.ts';
import { exitCodes } from '../core/exit-codes.ts';
import { asRecord } from '../core/shape.ts';
import type { MountCounters } from '../fs/session.ts';
import { type Command, stateDirectoryOf, stateOption } from './command.ts';
import { askDaemon } from './control.ts';
import { cutRows } from './cut-rows.ts';
import { alarmLines, indexRows } from './index-rows.ts';
import { servingRows } from './serving-rows.ts';
import { formatBytes, formatCount, formatTable } from './sizes.ts';

type Fields = Record<string, unknown>;

export const statusCommand: Command = {
  name: 'status',
  summary: 'show what the daemon of this state directory does',
  description: 'Shows the mount, the index, what the repository knows, and the members of the domain.',
  parameters: [],
  options: [stateOption],
  exitCodes: [exitCodes.incomplete, exitCodes.notFound, exitCodes.unavailable],
  examples: [
    ['covault status', 'for people'],
    ['covault status --json', 'every counter, for a script'],
  ],
  async run(call) {
    const status = await askDaemon(stateDirectoryOf(call), 'status');
    const isAlarming = alarmLines(asRecord(status.index, 'index')).length > 0;
    return {
      result: { type: 'status', ...status },
      lines: describeStatus(status),
      exitCode: isAlarming ? exitCodes.incomplete : exitCodes.ok,
    };
  },
};

/** @throws CovaultError `E_CORRUPT` if the daemon is of another version and says something else. */
export function describeStatus(status: Fields): string[] {
  try {
    const { mountpoint, dataMode, transport, member, mount, index, repository } = status;
    const rows = [
      ['mount', `${mountpoint} (${dataMode}, ${transport})`],
      ...mountRows(asRecord(mount, 'mount')),
      ...indexRows(asRecord(index, 'index')),
      ...cutRows(asRecord(asRecord(mount, 'mount').cuts, 'cuts')),
    ];
    const alarms = alarmLines(asRecord(index, 'index'));
    if (repository === null) return [...alarms, ...formatTable([...rows, ['domain', 'alone']])];
    const { name, url } = asRecord(member, 'member');
    const view = asRecord(repository, 'repository');
    return [
      ...alarms,
      ...formatTable([
        ...rows,
        ['member', `${name}, answers at ${url}`],
        ...servingRows(view.serving),
        ...repositoryRows(view),
      ]),
      ...memberLines(view),
    ];
  } catch (cause) {
    throw new CovaultError('E_VERSION', 'the daemon answers in an unknown way', {
      cause,
      hint: 'it may be of another version: restart it, or use --json',
    });
  }
}

function mountRows({ requests, mutations }: Record<string, unknown> & Partial<MountCounters>): string[][] {
  const answered = Object.values(asRecord(requests, 'requests')).reduce<number>((sum, count) => sum + Number(count), 0);
  const coarsened = Number(asRecord(mutations, 'mutations').coarsened);
  const note = coarsened > 0 ? `, ${formatCount(coarsened)} changes noted coarsely` : '';
  return [['', `${formatCount(answered)} requests answered${note}`]];
}

function repositoryRows(view: Fields): string[][] {
  const { url, phase, behind, live, reachable, error, statistics } = view;
  const feed = phase === 'level' ? 'knows everything' : `is ${formatCount(Number(behind))} changes behind (${phase})`;
  const rows = [
    ['repository', `${url}, ${reachable === true ? 'reachable' : 'cannot be reached'}`],
    ['', `${feed}; it takes this member for ${live === true ? 'live' : 'gone'}`],
  ];
  if (typeof error === 'string') rows.push(['', `last failure: ${error}`]);
  if (statistics !== undefined) {
    const { digests, storedBytes } = asRecord(statistics, 'statistics');
    rows.push([
      '',
      `${formatCount(Number(digests))} blocks and recipes, ${formatBytes(Number(storedBytes))} of tables`,
    ]);
  }
  return rows;
}

function memberLines({ members }: Fields): string[] {
  if (!Array.isArray(members)) return [];
  const rows = members.map((value) => {
    const { name, role, live, holdings, url } = asRecord(value, 'member');
    return [`  ${name}`, String(role), live === true ? 'live' : '–', formatCount(Number(holdings)), String(url ?? '')];
  });
  return ['members', ...formatTable([['  name', 'role', '', 'holdings', 'address'], ...rows], [3])];
}
