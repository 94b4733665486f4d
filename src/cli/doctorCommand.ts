import type { Command } from 'commander';
import { type DoctorReport, examine } from '../lab/doctor.js';
import { exitCodes, type Io } from './io.js';

/** vitro doctor */
export function addDoctor(program: Command, io: Io, setExit: (code: number) => void): void {
  program
    .command('doctor')
    .description(
      'Say what works on this machine: Node, ONNX Runtime, backends, devices, cores, memory, speed. Exit code 1 if training cannot work.',
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExamples:\n  $ vitro doctor\n  $ vitro doctor --json | jq .gemm_gflops')
    .action(async (flags: { readonly json?: boolean }) => {
      const report = await examine();
      io.stdout.write(`${flags.json ? JSON.stringify(report) : doctorText(report)}\n`);
      setExit(report.ok ? exitCodes.done : exitCodes.failed);
    });
}

/** The report for people. */
export function doctorText(report: DoctorReport): string {
  const { versions, machine, gemm_gflops: gemm } = report;
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const mark = (works: boolean): string => (works ? 'ok ' : 'no ');
  const lines = [
    `vitro ${versions.vitro}`,
    `${mark(report.node_ok)} Node ${versions.node} on ${machine.platform}-${machine.arch}`,
    `    ${machine.cpu}, ${machine.cores} cores, ${gib(machine.memory_bytes)} memory (${gib(report.free_memory_bytes)} free)`,
  ];
  for (const backend of report.backends) {
    lines.push(
      `${mark(backend.works)} backend ${backend.name}${backend.library ? ` (${backend.library})` : ''}${backend.problem ? `: ${backend.problem}` : ''}`,
    );
    for (const d of backend.devices) lines.push(`    ${mark(d.works)} device ${d.device}${d.problem ? `: ${d.problem}` : ''}`);
  }
  if (gemm)
    lines.push(
      `    matrix product 1024: ${gemm.one_thread.toFixed(0)} GFLOP/s on one thread, ${gemm.all_threads.toFixed(0)} on ${machine.cores}`,
    );
  lines.push('', ...report.advice, report.ok ? 'Training and inference work here.' : 'Training does not work here yet.');
  return lines.join('\n');
}
