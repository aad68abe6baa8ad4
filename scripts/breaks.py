#!/usr/bin/env python3
"""Breaks: deliberate errors, each of which a test has to notice.

  breaks.py rounds           the kernels that it takes to have them all, "NUMBER KIND"
  breaks.py files            the files that they are in
  breaks.py fit              nothing; an error for each that does not fit the code
  breaks.py unnamed DIR      the tests, in the sources in DIR and the unit tests in
                             drivers, that no entry names
  breaks.py apply ROUND DST  write the round's files to the tree DST
  breaks.py runs ROUND TESTS what the guest runs: lines "NUMBER PROGRAM ARGUMENTS";
                             TESTS is the directory with the test programs
  breaks.py judge ROUND RESULTS CONSOLE
                             print what was noticed, from what a guest has written

The list is *.break in the directory LIST, the code is in the directory SRC. An entry:

  ## what is broken
  file: path in the kernel tree
  in: function that the text is searched in (optional)
  -text, which must be there once
  +what takes its place; the word BROKEN is true when the entry is switched on
  test: PROGRAM FIXTURE.TEST, or kunit SUITE.CASE, or console; the fixture of a
        test without one is "global"; PROGRAM RESULT, if the program is none of the
        test harness and its results have names without dots
  run: likewise, for a test that makes the kernel complain but does not fail itself
  kernel: debug, if it takes lockdep and KASAN to notice

Each "test" must fail in at least one variant when the entry is switched on, and
pass when it is not; FIXTURE.VARIANT.TEST names the variant that must. "console"
stands for a complaint of the kernel. Where a guest hangs or crashes, the program
that was running has noticed, but none of those that have come before it or would
have come after it: they run in the order in which the entry names them. The
environment variable BREAK selects the entries by a regular expression for their
file's name or title.
"""
import collections
import os
import re
import subprocess
import sys

DIR = os.environ['LIST']
DRIVERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../drivers')

# What the kernel says only when something is wrong
COMPLAINT = re.compile(
    r'WARNING: |BUG: |BUG at|Oops|UBSAN: |Kernel panic|general protection fault|'
    r'possible circular|possible recursive|suspicious RCU|inconsistent lock state|'
    r'sleeping function|refcount_t:|list_(add|del) corruption|'
    r'scheduling while atomic|DEBUG_LOCKS_WARN_ON|Poison overwritten|'
    r'Object already free|soft lockup|still held')


class Break:
    """One entry of the list"""

    def __init__(self, where, title):
        self.where = where
        self.title = title
        self.file = self.function = ''
        self.kernel = 'normal'
        self.old = []
        self.new = []
        self.tests = []
        self.also = []
        self.number = self.round = 0
        self.edit = None

    def locate(self, text):
        """The part of @text that changes: start, end, replacement"""
        old, new = '\n'.join(self.old), '\n'.join(self.new)
        begin, end = 0, len(text)
        if self.function:
            match = re.search(r'^(?:\w[^\n;]*\b)?%s\([^;{]*\)\n\{' %
                              re.escape(self.function), text, re.M)
            if not match:
                fail(self, 'no function ' + self.function)
            begin = match.start()
            end = text.index('\n}', begin)
        found = text.count(old, begin, end)
        if found != 1:
            fail(self, '%d places in %s' % (found, self.file))
        begin = text.index(old, begin)
        # Other entries may change what is the same before and after.
        same = os.path.commonprefix([old, new])
        rest = os.path.commonprefix([old[len(same):][::-1],
                                     new[len(same):][::-1]])
        return (begin + len(same), begin + len(old) - len(rest),
                new[len(same):len(new) - len(rest)])


def fail(entry, text):
    sys.exit('error: %s: %s: %s' % (entry.where, entry.title, text))


def read_list():
    entries = []
    for name in sorted(os.listdir(DIR)):
        if not name.endswith('.break'):
            continue
        with open(os.path.join(DIR, name), encoding='utf-8') as lines:
            for number, line in enumerate(lines, 1):
                line = line.rstrip('\n')
                where = 'checks/breaks/%s:%d' % (name, number)
                if line.startswith('## '):
                    entries.append(Break(where, line[3:]))
                elif not line or line.startswith('# '):
                    continue
                elif not entries:
                    sys.exit('error: %s: not in an entry' % where)
                elif line[0] == '-':
                    entries[-1].old.append(line[1:])
                elif line[0] == '+':
                    entries[-1].new.append(line[1:])
                elif line.startswith('file: '):
                    entries[-1].file = line[6:]
                elif line.startswith('kernel: '):
                    entries[-1].kernel = line[8:]
                elif line.startswith('in: '):
                    entries[-1].function = line[4:]
                elif line.startswith('test: '):
                    entries[-1].tests.append(line[6:])
                elif line.startswith('run: '):
                    entries[-1].also.append(line[5:])
                else:
                    sys.exit('error: %s: what is this?' % where)
    for number, entry in enumerate(entries, 1):
        entry.number = number
        if not (entry.file and entry.old and entry.tests and
                'BROKEN' in '\n'.join(entry.new)):
            fail(entry, 'not complete')
    return entries


def fits(entry, src):
    try:
        with open(os.path.join(src, entry.file), encoding='utf-8') as f:
            entry.locate(f.read())
    except (SystemExit, OSError) as error:
        print(error, file=sys.stderr)
        return False
    return True


def assign_rounds(entries, src):
    """Entries that change the same text go into different kernels."""
    texts = {}
    rounds = []
    for entry in sorted(entries, key=lambda e: e.kernel != 'normal'):
        if entry.file not in texts:
            with open(os.path.join(src, entry.file), encoding='utf-8') as f:
                texts[entry.file] = f.read()
        entry.edit = begin, end, _ = entry.locate(texts[entry.file])
        for number, (kind, edits) in enumerate(rounds):
            if kind == entry.kernel and all(end < b or begin > e
                                            for b, e in edits[entry.file]):
                break
        else:
            number = len(rounds)
            edits = collections.defaultdict(list)
            rounds.append((entry.kernel, edits))
        edits[entry.file].append((begin, end))
        entry.round = number
    return texts, [kind for kind, _ in rounds]


def is_selected(entry):
    # The SMMUv3 is where arm64 is, VT-d where it is asked for, the mock anywhere.
    hardware = 'smmuv3' if os.environ['ARCH'] == 'arm64' else os.environ['HW']
    where = re.search(r'(smmuv3|vtd)\.break', entry.where)
    if (where[1] if where else '') != hardware:
        return False
    return re.search(os.environ.get('BREAK', ''), entry.where + ' ' + entry.title)


def write_if_changed(path, text):
    try:
        with open(path, encoding='utf-8') as f:
            if f.read() == text:
                return
    except FileNotFoundError:
        pass
    if os.path.lexists(path):
        os.unlink(path)	# may be a hard link to the tree's own
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)


def apply(entries, texts, round_nr, dst):
    for file, text in texts.items():
        edits = [(e.edit, e.number) for e in entries
                 if e.file == file and e.round == round_nr]
        for (begin, end, new), number in sorted(edits, reverse=True):
            cond = 'unlikely(READ_ONCE(iommu_uapi_broken) == %d)' % number
            text = text[:begin] + new.replace('BROKEN', cond) + text[end:]
        write_if_changed(os.path.join(dst, file),
                         '#include <linux/compiler.h>\n'
                         'extern unsigned int iommu_uapi_broken;\n' + text)


def list_tests(program):
    """FIXTURE -> (variants, tests), from columns that have nothing in common"""
    runner = os.environ.get('RUNNER', '').split()
    out = subprocess.run(runner + [program, '-l'], capture_output=True, text=True,
                         check=False)
    fixtures = {}
    for line in (out.stdout + out.stderr).splitlines():
        if line.startswith(('#', '-')):
            continue
        fixture, variant, test = (line[:20].strip(), line[21:46].strip(),
                                  line[47:].strip())
        if fixture:
            variants, tests = fixtures.setdefault(fixture, ([], []))
        if variant:
            variants.append(variant)
        if test:
            tests.append(test)
    return fixtures


def has_result(path, name):
    """Whether a program that is none of the test harness prints such a result"""
    with open(path, 'rb') as f:
        return name.encode() + b'\n\0' in f.read()


def runs(entries, tests_dir):
    known = {}
    for entry in entries:
        programs = {}
        for test in entry.tests + entry.also:
            program, _, name = test.partition(' ')
            if program == 'console':
                continue
            if program == 'kunit':
                programs.setdefault('kunit/' + name.split('.')[0], [])
                continue
            path = os.path.join(tests_dir, program)
            if '.' not in name:
                if not has_result(path, name):
                    fail(entry, 'no test ' + test)
                programs.setdefault(program, [])
                continue
            if program not in known:
                known[program] = list_tests(path)
            fixture, _, rest = name.partition('.')
            variant, _, case = rest.rpartition('.')
            variants, cases = known[program].get(fixture, ([], []))
            if case not in cases or variant and variant not in variants:
                fail(entry, 'no test ' + test)
            args = ['-r ' + '.'.join(filter(None, (fixture, v, case)))
                    for v in variants or [''] if variant in ('', v)]
            programs.setdefault(program, []).extend(args)
        for program, args in programs.items():
            print(entry.number, program, ' '.join(dict.fromkeys(args)))


def list_units():
    """SUITE, CASE of each unit test: cases, and then the suite that they are in"""
    units = []
    for where, _, names in os.walk(DRIVERS):
        for name in names:
            if not name.endswith('.c'):
                continue
            with open(os.path.join(where, name), encoding='utf-8') as f:
                words = re.findall(r'^\tKUNIT_CASE\w*\((\w+)|^\t\.name = "([^"]+)"',
                                   f.read(), re.M)
            cases = []
            for case, suite in words:
                if case:
                    cases.append(case)
                    continue
                units += [(suite, case) for case in cases]
                cases = []
            if cases:
                sys.exit('error: %s: no suite has %s' % (name, ', '.join(cases)))
    if not units:
        sys.exit('error: no unit tests in ' + DRIVERS)
    return sorted(units)


def unnamed(entries, sources):
    """The tests that no entry says should fail"""
    named = set()
    for entry in entries:
        for test in entry.tests:
            program, _, name = test.partition(' ')
            parts = name.split('.')
            named.add((program, parts[0], parts[-1]))
    for suite, case in list_units():
        if ('kunit', suite, case) not in named:
            print('kunit %s.%s: no entry says that it should fail' % (suite, case))
    for name in sorted(os.listdir(sources)):
        program = name[:-2]
        # The device that this one unplugs is gone for the next.
        if not re.fullmatch(r'iommu_uapi\w*\.c', name) or \
           program == 'iommu_uapi_vtd_unplug':
            continue
        with open(os.path.join(sources, name), encoding='utf-8') as f:
            text = f.read()
        tests = re.findall(r'^TEST_F(?:_\w+)?\((\w+), (\w+)', text, re.M)
        tests += [('global', case) for case in
                  re.findall(r'^TEST(?:_SIGNAL)?\((\w+)', text, re.M)]
        # One that prints its results itself
        if not tests and 'ksft_test_result' in text and \
           not any(p == program for p, _, _ in named):
            print('%s: no entry says that it should fail' % program)
        for fixture, case in tests:
            if (program, fixture, case) not in named:
                print('%s %s.%s: no entry says that it should fail' %
                      (program, fixture, case))


def judge(entries, results, console):
    """What a guest has seen of each entry"""
    state = {}

    def new():
        return {'control': {}, 'broken': {}, 'stopped': None,
                'complaint': False}

    now = None
    with open(results, encoding='utf-8', errors='replace') as f:
        for line in f:
            line = line.rstrip('\r\n')
            match = re.match(r'@@ (run|end) (\d+)(?: (\w+) (\S+))?', line)
            if match:
                entry = state.setdefault(int(match[2]), new())
                # If nothing comes after it: the one that has stopped the guest
                entry['stopped'] = None
                if match[1] == 'run':
                    program = match[4]
                    if match[3] == 'broken':
                        entry['stopped'] = program
                    now = entry[match[3]][program] = set()
                continue
            match = re.match(r'((?: {4})*)(not ok|ok) \d+ (?:- )?'
                             r'(\S.*?)(?: +#.*)?$', line)
            if now is None or not match or match[2] == 'ok':
                continue
            if '# SKIP' in line:
                continue
            if not program.startswith('kunit/'):
                now.add(program + ' ' + match[3])
            elif len(match[1]) == 4:
                now.add(program.replace('/', ' ') + '.' + match[3])
    number = 0
    with open(console, encoding='utf-8', errors='replace') as f:
        for line in f:
            match = re.search(r'breaks: (\d+) (\w+)', line)
            if match:
                number = int(match[1]) if match[2] == 'broken' else 0
            elif number and COMPLAINT.search(line):
                state.setdefault(number, new())['complaint'] = True

    def is_noticed(seen, broken, test):
        program, _, name = test.partition(' ')
        if program == 'console':
            return seen['complaint']
        suite = program == 'kunit' and 'kunit ' + name.split('.')[0]
        if seen['stopped'] == (suite or program).replace(' ', '/'):
            return True
        if test in broken:
            return True
        if suite:
            return name.endswith('.*') and any(f.startswith(suite + '.')
                                               for f in broken)
        # Any variant, if the entry does not say which
        fixture, _, case = name.partition('.')
        return case and '.' not in case and \
            any(f.startswith('%s %s.' % (program, fixture)) and
                f.endswith('.' + case) for f in broken)

    for entry in entries:
        seen = state.get(entry.number)
        if not seen:
            continue
        control = set().union(*seen['control'].values())
        broken = set().union(*seen['broken'].values())
        others = sorted(broken) + ['console'] * seen['complaint']
        if seen['stopped']:
            others = sorted(broken) + ['guest stopped']
        missing = [test for test in entry.tests
                   if not is_noticed(seen, broken, test)]
        if control:
            word, why = 'UNCLEAN', ', '.join(sorted(control))
        elif not seen['broken']:
            word, why = 'UNSEEN', ''
        elif missing:
            word, why = 'MISSED', 'by ' + ', '.join(missing) + \
                ('; seen by ' + ', '.join(others) if others else '')
        else:
            word, why = 'seen', ', '.join(others)
        print('%d\t%s\t%s\t%s: %s\t%s' % (entry.number, word, entry.where,
                                         os.path.basename(entry.file),
                                         entry.title, why))


def main():
    entries = read_list()
    command = sys.argv[1]
    if command == 'files':
        print('\n'.join(sorted({e.file for e in entries})))
        return
    if command == 'fit':
        sys.exit(not all([fits(e, os.environ['SRC']) for e in entries]))
    if command == 'unnamed':
        unnamed(entries, sys.argv[2])
        return
    texts, rounds = assign_rounds(entries, os.environ['SRC'])
    if command == 'rounds':
        for number, kind in enumerate(rounds):
            if any(e.round == number and is_selected(e) for e in entries):
                print(number, kind)
    elif command == 'apply':
        apply(entries, texts, int(sys.argv[2]), sys.argv[3])
    else:
        chosen = [e for e in entries
                  if e.round == int(sys.argv[2]) and is_selected(e)]
        if command == 'runs':
            runs(chosen, sys.argv[3])
        else:
            judge(chosen, sys.argv[3], sys.argv[4])


main()
