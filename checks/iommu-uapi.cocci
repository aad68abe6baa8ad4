// SPDX-License-Identifier: GPL-2.0-only
/// Two rules of the IOMMU user API that no compiler knows:
///
///  1. Payloads are copied from user memory in one place, copy.c. Elsewhere
///     only a wrapper's own {argsz, flags} may be: the destination is a
///     variable whose type is a wrapper structure of VFIO. The mock's devices
///     take commands of their own, which are no payloads.
///  2. The result of an invalidation is never dropped: a failed invalidation
///     that is reported as success breaks isolation. Nor is that of a hardware
///     queue that it has gone to, or of a helper that passes it on. What undoes
///     a call that has failed may fail as well: the caller is told of the failure.
///
// Confidence: High
// Options: --no-includes --include-headers

virtual report

@initialize:python@
@@
voids = set()

def say(p, text):
    print("%s:%s: %s" % (p[0].file, p[0].line, text))

// ----------------------------------------------------------------- copies

@wrapper@
identifier x;
identifier t =~ "^vfio_(nesting_header|iommu_(pasid_request|bind|cache_invalidate)|device_feature)";
identifier f =~ "^_*copy_from_user$";
position p;
expression e, n;
@@
 struct t x;
 ... when exists
 f@p(&x, e, n)

@copy@
identifier f =~ "^_*(copy_from_user|copy_from_user_nofault|copy_struct_from_user|copy_from_sockptr|memdup_user|memdup_user_nul|vmemdup_user|memdup_array_user|vmemdup_array_user|get_user|unsafe_get_user|strndup_user|strncpy_from_user|copy_from_iter|copy_from_iter_full|iommu_copy_struct_from_user|access_process_vm|import_iovec)$";
position p != wrapper.p;
@@
 f@p(...)

@script:python depends on report@
p << copy.p;
f << copy.f;
@@
if not p[0].file.endswith("/copy.c") and "/mock/" not in p[0].file:
    say(p, "%s outside the one copy step (copy.c)" % f)

// ------------------------------------------------------- dropped results

@returns_nothing@
identifier f =~ "^(?!trace_).*(invalidat|qi_submit_sync|cmd_with_sync|batch_submit|arm_smmu_atc_inv_(master|domain)$|arm_smmu_uapi_(issue|flush|install|inv_(guests_)?atc(_once)?)$)";
@@
 void f(...)
 {
 ...
 }

@script:python@
f << returns_nothing.f;
@@
voids.add(f)

// The same once more, back to what was before, and the first result is returned
@undo@
identifier f =~ "^(?!trace_).*(invalidat|qi_submit_sync|cmd_with_sync|batch_submit|arm_smmu_atc_inv_(master|domain)$|arm_smmu_uapi_(issue|flush|install|inv_(guests_)?atc(_once)?)$)";
local idexpression r;
expression e;
position p;
@@
 r = f(...);
 if (r) {
 ... when != r = e
 f@p(...);
 ... when != r = e
     when any
 return r;
 }

// With the feature off this is all there is to it, as in the unpatched driver
@off@
identifier f = arm_smmu_atc_inv_domain;
identifier g = arm_smmu_uapi_inv_atc_stage2;
position p;
@@
 void g(...)
 {
 f@p(...);
 }

// A call that is a whole statement, with or without a cast to void
@dropped@
identifier f =~ "^(?!trace_).*(invalidat|qi_submit_sync|cmd_with_sync|batch_submit|arm_smmu_atc_inv_(master|domain)$|arm_smmu_uapi_(issue|flush|install|inv_(guests_)?atc(_once)?)$)";
expression x;
position p != {undo.p, off.p};
@@
(
 f@p(...);
|
 x->f@p(...);
|
 x.f@p(...);
|
 (void)f@p(...);
|
 (void)x->f@p(...);
)

@script:python depends on report@
p << dropped.p;
f << dropped.f;
@@
if f not in voids:
    say(p, "the result of %s is dropped" % f)

// Written again with something that it is part of, as in ret = ret ?: err
@kept@
local idexpression r;
position q;
@@
 r@q = <+... r ...+>;

// Kept in a variable that is written again, or never read
@overwritten@
identifier f =~ "^(?!trace_).*(invalidat|qi_submit_sync|cmd_with_sync|batch_submit|arm_smmu_atc_inv_(master|domain)$|arm_smmu_uapi_(issue|flush|install|inv_(guests_)?atc(_once)?)$)";
expression x, e;
local idexpression r;
position p;
position q != kept.q;
@@
(
 r = f@p(...);
|
 r = x->f@p(...);
)
 ... when != r
     when any
 r@q = e;

@script:python depends on report@
p << overwritten.p;
f << overwritten.f;
@@
say(p, "the result of %s is overwritten unread" % f)

@unread@
identifier f =~ "^(?!trace_).*(invalidat|qi_submit_sync|cmd_with_sync|batch_submit|arm_smmu_atc_inv_(master|domain)$|arm_smmu_uapi_(issue|flush|install|inv_(guests_)?atc(_once)?)$)";
expression x;
constant c;
local idexpression r;
position p;
@@
(
 r = f@p(...);
|
 r = x->f@p(...);
)
 ... when != r
(
 return;
|
 return c;
)

@script:python depends on report@
p << unread.p;
f << unread.f;
@@
say(p, "the result of %s is not read" % f)
