import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import ts from 'typescript';

/** A method found in a file of a slot folder. */
export interface MethodFile {
  /** file name without `.ts`, which is also the export's name */
  readonly name: string;
  readonly id: string;
}

/** What the generator needs to know of one slot folder. */
export interface SlotFolder {
  /** path from the repository root, with forward slashes, e.g. `src/optim/transform` */
  readonly folder: string;
  /** `slot.id` and `slot.record` of slot.ts */
  readonly id: string;
  readonly record: string;
  /** name of the interface of the slot's methods, e.g. `OptimizerMethod` */
  readonly methodType: string;
  /** what slot.ts exports besides `slot` */
  readonly values: readonly string[];
  readonly types: readonly string[];
  readonly methods: readonly MethodFile[];
  /** files of the folder that hold no method */
  readonly helpers: readonly string[];
}

/** `cautious-adamw` -> `cautiousAdamw`, `4-bit-muon` -> `_4BitMuon` (an identifier cannot start with a digit). */
export const exportName = (id: string): string =>
  id.replace(/[^a-zA-Z0-9]+([a-zA-Z0-9])/g, (_, c: string) => c.toUpperCase()).replace(/^(?=\d)/, '_');

const notMethods = new Set(['slot.ts', 'index.ts', 'conformance.ts']);

interface Exported {
  readonly name: string;
  readonly kind: 'value' | 'type';
  readonly declaration?: ts.VariableDeclaration;
}

/** The exported declarations of a file. Re-exports are not followed. */
function exportsOf(source: ts.SourceFile): Exported[] {
  return source.statements.flatMap((statement): Exported[] => {
    const exported = ts.canHaveModifiers(statement) && ts.getModifiers(statement)?.some((m) => m.kind === ts.SyntaxKind.ExportKeyword);
    if (!exported) return [];
    if (ts.isVariableStatement(statement))
      return statement.declarationList.declarations.map((declaration) => ({
        name: declaration.name.getText(source),
        kind: 'value',
        declaration,
      }));
    if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) return [{ name: statement.name.text, kind: 'type' }];
    if ((ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) && statement.name)
      return [{ name: statement.name.text, kind: 'value' }];
    return [];
  });
}

/** The object literal of `{...}`, `{...} as const`, `{...} satisfies T` or of the first such argument of a call. */
function objectOf(node: ts.Expression | undefined): ts.ObjectLiteralExpression | undefined {
  if (!node) return undefined;
  if (ts.isObjectLiteralExpression(node)) return node;
  if (ts.isAsExpression(node) || ts.isSatisfiesExpression(node) || ts.isParenthesizedExpression(node)) return objectOf(node.expression);
  if (ts.isCallExpression(node)) return node.arguments.map(objectOf).find((o) => o !== undefined);
  return undefined;
}

function textProperty(object: ts.ObjectLiteralExpression | undefined, key: string): string | undefined {
  for (const property of object?.properties ?? [])
    if (ts.isPropertyAssignment(property) && property.name.getText() === key && ts.isStringLiteralLike(property.initializer))
      return property.initializer.text;
  return undefined;
}

const hasProperty = (object: ts.ObjectLiteralExpression | undefined, key: string): boolean =>
  object?.properties.some((p) => p.name?.getText() === key) ?? false;

const parse = (path: string): ts.SourceFile => ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);

/** The method that a file exports, if it exports one. Throws where file name, export name and id disagree. */
function methodOf(path: string, methodType: string): MethodFile | undefined {
  const found = exportsOf(parse(path)).flatMap(({ name, declaration }) => {
    if (!declaration) return [];
    const object = objectOf(declaration.initializer);
    const isMethod = declaration.type?.getText() === methodType || (hasProperty(object, 'id') && hasProperty(object, 'paper'));
    return isMethod ? [{ name, id: textProperty(object, 'id') }] : [];
  });
  const [method] = found;
  if (!method) return undefined;
  const file = basename(path, '.ts');
  if (found.length > 1)
    throw new Error(`${path} exports ${found.length} methods (${found.map((f) => f.name).join(', ')}); one file, one method`);
  if (method.id === undefined) throw new Error(`${path}: the id of method ${method.name} must be written out as a string`);
  if (method.name !== file || exportName(method.id) !== file)
    throw new Error(`${path} exports ${method.name} with id '${method.id}': file and export must be named ${exportName(method.id)}`);
  return { name: method.name, id: method.id };
}

/** Reads one slot folder; throws where slot.ts or a method breaks the conventions. */
export function readSlot(root: string, folder: string): SlotFolder {
  const path = join(root, folder, 'slot.ts');
  const exported = exportsOf(parse(path));
  const object = objectOf(exported.find((e) => e.name === 'slot')?.declaration?.initializer);
  const [id, record] = [textProperty(object, 'id'), textProperty(object, 'record')];
  if (id === undefined || record === undefined || textProperty(object, 'summary') === undefined)
    throw new Error(`${path} must export const slot = { id: '...', record: '...', summary: '...' } as const`);
  const types = exported.filter((e) => e.kind === 'type').map((e) => e.name);
  const [methodType, ...others] = types.filter((t) => t.endsWith('Method'));
  if (methodType === undefined || others.length > 0)
    throw new Error(`${path} must export exactly one type whose name ends in Method: that of the slot's methods`);
  const files = readdirSync(join(root, folder), { withFileTypes: true })
    .filter((e) => e.isFile() && e.name.endsWith('.ts') && !notMethods.has(e.name))
    .map((e) => e.name);
  const methods: MethodFile[] = [];
  const helpers: string[] = [];
  for (const file of files) {
    const method = methodOf(join(root, folder, file), methodType);
    if (method) methods.push(method);
    else helpers.push(basename(file, '.ts'));
  }
  const values = exported.filter((e) => e.kind === 'value' && e.name !== 'slot').map((e) => e.name);
  return { folder, id, record, methodType, values, types, methods, helpers };
}

function refuseRepeats(what: string, names: readonly (readonly [name: string, folder: string])[]): void {
  const seen = new Map<string, string>();
  for (const [name, folder] of names) {
    const other = seen.get(name);
    if (other) throw new Error(`${other} and ${folder} both have ${what} '${name}'; rename one`);
    seen.set(name, folder);
  }
}

/** All slot folders under src, by path. */
export function readSlots(root: string): SlotFolder[] {
  const folders = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile() && e.name === 'slot.ts')
    .map((e) => relative(root, e.parentPath).split(sep).join('/'));
  const slots = folders.sort().map((folder) => readSlot(root, folder));
  refuseRepeats(
    'the slot id',
    slots.map((s) => [s.id, s.folder]),
  );
  refuseRepeats(
    'the record',
    slots.map((s) => [s.record, s.folder]),
  );
  // a user names a method by its id alone, as in adamw+wso
  refuseRepeats(
    'a method',
    slots.flatMap((s) => s.methods.map((m) => [m.id, s.folder] as const)),
  );
  return slots;
}
