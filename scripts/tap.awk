# Count the results in nested TAP.
#
# Input: sections "@@ begin NAME" ... "@@ end NAME STATUS". Nesting is four
# spaces (KUnit) or "# " (run_kselftest.sh) per level. A result line that follows
# deeper ones sums them up and is not counted itself, unless it fails although
# all of them passed, as a test program does that died.
#
# Output: "PASSED FAILED SKIPPED SECTION NAME" per outermost result; what failed
# goes to standard error, and what was skipped to the file that the variable skips
# names, as "SECTION NAME TEST".

function reset(  d)
{
	for (d = 0; d < 20; d++)
		seen[d] = bad[d] = plan[d] = 0
	pass = fail = skip = 0
	skipped = ""
}

function complain(text)
{
	print section ": " text > "/dev/stderr"
	fail++
}

# The results below depth d are complete: does the plan say so too?
function close_level(d, name)
{
	if (plan[d] && plan[d] != seen[d]) {
		complain(name ": " seen[d] " of " plan[d] " planned tests ran")
		bad[d]++
	}
	seen[d] = plan[d] = 0
}

function emit(name,  n, test, i)
{
	print pass + 0, fail + 0, skip + 0, section, name
	n = split(skipped, test, "\n")
	for (i = 1; skips && i < n; i++)
		print section, name, test[i] > skips
	skipped = ""
	total += pass + fail + skip
	pass = fail = skip = 0
}

/^@@ begin / {
	section = $3
	total = 0
	inside = 1
	reset()
	next
}

/^@@ end / {
	close_level(0, section)
	if (pass + fail + skip)
		emit("")
	if (!total) {
		complain("ran no test")
		emit("")
	} else if ($4 != 0 && !sectionbad) {
		complain("ended with status " $4)
		emit("")
	}
	inside = sectionbad = 0
	next
}

!inside { next }

{
	line = $0
	depth = 0
	while (1) {
		if (sub(/^    /, "", line))
			depth++
		else if (line ~ /^# (# |    )*((not )?ok [0-9]|[0-9]+\.\.[0-9]+)/) {
			sub(/^# /, "", line)
			depth++
		} else
			break
	}
}

line ~ /^1\.\.[0-9]+/ {
	split(line, f, /\.\.| /)
	plan[depth] += f[2]
	next
}

line ~ /^(not )?ok [0-9]+/ {
	ok = line !~ /^not/
	name = line
	sub(/^(not )?ok [0-9]+ *(- )?/, "", name)
	is_skip = name ~ /# *SKIP/
	sub(/^selftests: [^:]*: /, "", name)
	sub(/ # exit=.*/, "", name)

	if (seen[depth + 1] || plan[depth + 1]) {
		close_level(depth + 1, name)
		if (!ok && !bad[depth + 1])
			complain(name)
	} else if (is_skip) {
		skip++
		skipped = skipped name "\n"
	} else if (ok)
		pass++
	else
		complain(name)
	if (!ok || bad[depth + 1]) {
		bad[depth]++
		sectionbad = 1
	}
	bad[depth + 1] = 0
	seen[depth]++
	if (depth == 0)
		emit(name)
}

END {
	if (inside) {
		complain("did not come to its end")
		emit("")
	}
}
