// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: KUnit tests of what needs no hardware
 *
 * The copy step is run on user memory of its own, which ends where each payload
 * ends: reading one byte more than argsz is a fault. The fault queue is run
 * through its file, on a device whose IOMMU driver is below. Sizes and offsets
 * of payloads are written as numbers, as user space has compiled them.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "fault.h"

#define UMEM_SIZE	(4 * PAGE_SIZE)
#define POISON		0xa5

/* What a test case has: user memory, and as much in the kernel */
struct env {
	u8 __user *umem;
	u8 __user *uend;			/* the page there is not mapped */
	u8 *kmem;
	union iommu_uapi_payload payload;	/* what has been copied last */
	unsigned int grow;			/* of before the test */
};

static void set_grow(unsigned int bytes)
{
#if IS_ENABLED(CONFIG_IOMMU_UAPI_MOCK)
	iommu_uapi_test_grow = bytes;
#endif
}

static void env_restore_grow(void *data)
{
	struct env *env = data;

	set_grow(env->grow);
}

static int env_init(struct kunit *test)
{
	unsigned long addr;
	struct env *env;

	env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, env);
	env->kmem = kunit_kzalloc(test, UMEM_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, env->kmem);

	addr = kunit_vm_mmap(test, NULL, 0, UMEM_SIZE + PAGE_SIZE,
			     PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, addr, 0);
	KUNIT_ASSERT_LT(test, addr, (unsigned long)TASK_SIZE);
	KUNIT_ASSERT_EQ(test, vm_munmap(addr + UMEM_SIZE, PAGE_SIZE), 0);
	env->umem = (u8 __user *)addr;
	env->uend = env->umem + UMEM_SIZE;

	env->grow = iommu_uapi_test_grow;
	set_grow(0);
	test->priv = env;
	return kunit_add_action_or_reset(test, env_restore_grow, env);
}

static void put_mem(struct kunit *test, void __user *to, const void *from,
		    size_t len)
{
	KUNIT_ASSERT_EQ(test, copy_to_user(to, from, len), 0);
}

static void get_mem(struct kunit *test, void *to, const void __user *from,
		    size_t len)
{
	KUNIT_ASSERT_EQ(test, copy_from_user(to, from, len), 0);
}

/*
 * Requests as user space makes them, one for each size that the copy step may
 * ask for. What is beyond ->needed is zero.
 */
enum request_id {
	ALLOC,
	FREE,
	BIND,
	BIND_GPASID,
	BIND_NO_PASID,
	BIND_SRE,
	UNBIND,
	UNBIND_GPASID,
	UNBIND_NO_PASID,
	TABLE,
	TABLE_BYPASS,
	TABLE_ABORT,
	UNBIND_TABLE,
	INV_DOMAIN,
	INV_PASID,
	INV_GPASID,
	INV_NO_PASID,
	INV_ADDR,
	INV_ADDR_PASID,
	BATCH,
	RESPONSE,
	RESPONSE_PASID,
};

struct request {
	const char *name;
	enum iommu_uapi_op op;
	u32 size;	/* of the payload */
	u32 needed;	/* by this request */
	union iommu_uapi_payload p;
};

#define VTD_WPE		(IOMMU_SVA_VTD_GPASID_SRE | IOMMU_SVA_VTD_GPASID_EAFE | \
			 IOMMU_SVA_VTD_GPASID_WPE)
#define BY_GPASID	(IOMMU_INV_PASID_FLAGS_PASID |	\
			 IOMMU_INV_PASID_FLAGS_GPASID |	\
			 IOMMU_INV_PASID_FLAGS_ARCHID)
#define ADDR_BY_GPASID	(IOMMU_INV_ADDR_FLAGS_PASID |	\
			 IOMMU_INV_ADDR_FLAGS_GPASID |	\
			 IOMMU_INV_ADDR_FLAGS_ARCHID |	\
			 IOMMU_INV_ADDR_FLAGS_LEAF)

static const struct request requests[] = {
	[ALLOC] = {
		"allocate a PASID", IOMMU_UAPI_PASID_ALLOC, 24, 24,
		{ .pasid = { .version = 1, .min = 1, .max = 0xfffff } },
	},
	[FREE] = {
		"free PASIDs", IOMMU_UAPI_PASID_FREE, 24, 20,
		{ .pasid = { .version = 1, .min = 1, .max = U32_MAX } },
	},
	[BIND] = {
		"bind a page table", IOMMU_UAPI_BIND_PGTBL, 72, 72,
		{ .bind = { .version = 1, .format = 1, .addr_width = 48,
			    .gpgd = 0x12345000, .hpasid = 5, .gpasid = 7 } },
	},
	[BIND_GPASID] = {
		"bind a page table, guest's PASID", IOMMU_UAPI_BIND_PGTBL, 72, 72,
		{ .bind = { .version = 1, .format = 1, .addr_width = 57,
			    .flags = IOMMU_SVA_GPASID_VAL, .gpgd = 0x1000,
			    .hpasid = 0xfffff, .gpasid = 0xfffff } },
	},
	[BIND_NO_PASID] = {
		"bind a page table, no PASID", IOMMU_UAPI_BIND_PGTBL, 72, 72,
		{ .bind = { .version = 1, .format = 1, .addr_width = 48,
			    .flags = IOMMU_SVA_NO_PASID } },
	},
	[BIND_SRE] = {
		"bind a page table, VT-d flags", IOMMU_UAPI_BIND_PGTBL, 72, 72,
		{ .bind = { .version = 1, .format = 1, .addr_width = 48,
			    .gpgd = 0x1000, .hpasid = 1,
			    .vendor.vtd.flags = VTD_WPE } },
	},
	[UNBIND] = {
		"unbind a page table", IOMMU_UAPI_UNBIND_PGTBL, 72, 48,
		{ .bind = { .version = 1, .hpasid = 5 } },
	},
	[UNBIND_GPASID] = {
		"unbind a page table, guest's PASID", IOMMU_UAPI_UNBIND_PGTBL, 72, 48,
		{ .bind = { .version = 1, .flags = IOMMU_SVA_GPASID_VAL,
			    .gpasid = 7 } },
	},
	[UNBIND_NO_PASID] = {
		"unbind a page table, no PASID", IOMMU_UAPI_UNBIND_PGTBL, 72, 48,
		{ .bind = { .version = 1, .flags = IOMMU_SVA_NO_PASID } },
	},
	[TABLE] = {
		"bind a PASID table", IOMMU_UAPI_BIND_PASID_TABLE, 40, 40,
		{ .table = { .version = 1, .flags = IOMMU_PASID_TABLE_DEVTLB,
			     .format = 2, .pasid_bits = 20, .config = 1,
			     .base_ptr = 0x40 } },
	},
	[TABLE_BYPASS] = {
		"bind a PASID table, bypass", IOMMU_UAPI_BIND_PASID_TABLE, 40, 32,
		{ .table = { .version = 1, .format = 2, .config = 2 } },
	},
	[TABLE_ABORT] = {
		"bind a PASID table, abort", IOMMU_UAPI_BIND_PASID_TABLE, 40, 32,
		{ .table = { .version = 1, .format = 2, .config = 3 } },
	},
	[UNBIND_TABLE] = {
		"unbind a PASID table", IOMMU_UAPI_UNBIND_PASID_TABLE, 40, 24,
		{ .table = { .version = 1 } },
	},
	[INV_DOMAIN] = {
		"invalidate a domain", IOMMU_UAPI_INVALIDATE, 56, 16,
		{ .inv = { .version = 1, .cache = 1, .granularity = 0 } },
	},
	[INV_PASID] = {
		"invalidate a PASID", IOMMU_UAPI_INVALIDATE, 56, 32,
		{ .inv = { .version = 1, .cache = 7, .granularity = 1,
			   .granu.pasid_info = {
				   .flags = IOMMU_INV_PASID_FLAGS_PASID,
				   .pasid = 5 } } },
	},
	[INV_GPASID] = {
		"invalidate a guest's PASID", IOMMU_UAPI_INVALIDATE, 56, 32,
		{ .inv = { .version = 1, .cache = 4, .granularity = 1,
			   .granu.pasid_info = { .flags = BY_GPASID,
				   .archid = 3, .pasid = 0xfffff } } },
	},
	[INV_NO_PASID] = {
		"invalidate without PASID", IOMMU_UAPI_INVALIDATE, 56, 32,
		{ .inv = { .version = 1, .cache = 1, .granularity = 1,
			   .granu.pasid_info.flags =
				   IOMMU_INV_PASID_FLAGS_NO_PASID } },
	},
	[INV_ADDR] = {
		"invalidate a range", IOMMU_UAPI_INVALIDATE, 56, 56,
		{ .inv = { .version = 1, .cache = 3, .granularity = 2,
			   .granu.addr_info = {
				   .flags = IOMMU_INV_ADDR_FLAGS_NO_PASID,
				   .addr = 0x7000, .granule_size = 0x1000,
				   .nb_granules = 1 } } },
	},
	[INV_ADDR_PASID] = {
		"invalidate a range of a PASID", IOMMU_UAPI_INVALIDATE, 56, 56,
		{ .inv = { .version = 1, .cache = 1, .granularity = 2,
			   .granu.addr_info = { .flags = ADDR_BY_GPASID,
				   .archid = U32_MAX, .pasid = 9,
				   .addr = 0x400000, .granule_size = 0x200000,
				   .nb_granules = 2 } } },
	},
	[BATCH] = {
		"invalidate in a batch", IOMMU_UAPI_INVALIDATE_BATCH, 32, 32,
		{ .batch = { .version = 1, .entry_size = 56, .count = 3,
			     .entries = 0x1000 } },
	},
	[RESPONSE] = {
		"answer a request without PASID", IOMMU_UAPI_PAGE_RESPONSE, 24, 24,
		{ .resp = { .version = 1, .grpid = 11 } },
	},
	[RESPONSE_PASID] = {
		"answer a request", IOMMU_UAPI_PAGE_RESPONSE, 24, 24,
		{ .resp = { .version = 1, .pasid = 5, .grpid = 511, .code = 2,
			    .flags = IOMMU_PAGE_RESP_PASID_VALID |
				     IOMMU_PAGE_RESP_GPASID } },
	},
};

static void request_desc(const struct request *req, char *desc)
{
	strscpy(desc, req->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(request, requests, request_desc);

/*
 * Pass @argsz bytes at the end of the user memory: the payload @p, and zeroes
 * where it has no more.
 */
static int pass(struct kunit *test, enum iommu_uapi_op op,
		const union iommu_uapi_payload *p, u32 argsz)
{
	struct env *env = test->priv;
	size_t len = max_t(size_t, argsz, sizeof(argsz));

	memset(env->kmem, 0, len);
	memcpy(env->kmem, p, min(len, sizeof(*p)));
	memcpy(env->kmem, &argsz, sizeof(argsz));
	put_mem(test, env->uend - len, env->kmem, len);
	memset(&env->payload, POISON, sizeof(env->payload));
	return iommu_uapi_copy_from_user(&env->payload, op, env->uend - len, len);
}

/* What was copied is the request's first @argsz bytes, and zeroes. */
static void expect_copied(struct kunit *test, const struct request *req,
			  u32 argsz)
{
	struct env *env = test->priv;
	union iommu_uapi_payload want = {};

	memcpy(&want, &req->p, min(argsz, req->size));
	memcpy(&want, &argsz, sizeof(argsz));
	KUNIT_ASSERT_MEMEQ_MSG(test, &env->payload, &want, sizeof(want),
			       "argsz %u", argsz);
}

/* Size case 1 */
static void copy_exact(struct kunit *test)
{
	const struct request *req = test->param_value;

	KUNIT_ASSERT_EQ(test, pass(test, req->op, &req->p, req->size), 0);
	expect_copied(test, req, req->size);
}

/* Size case 2: an older user, or one that leaves out what it does not need */
static void copy_older(struct kunit *test)
{
	const struct request *req = test->param_value;
	u32 argsz;

	for (argsz = req->needed; argsz < req->size; argsz++) {
		KUNIT_ASSERT_EQ_MSG(test, pass(test, req->op, &req->p, argsz), 0,
				    "argsz %u", argsz);
		expect_copied(test, req, argsz);
	}
}

/* Size case 3: a newer user, whose additions are zero or are not */
static void copy_newer(struct kunit *test)
{
	const struct request *req = test->param_value;
	struct env *env = test->priv;
	u32 argsz, at;

	for (argsz = req->size + 1; argsz <= req->size + 64; argsz++) {
		KUNIT_ASSERT_EQ_MSG(test, pass(test, req->op, &req->p, argsz), 0,
				    "argsz %u", argsz);
		expect_copied(test, req, argsz);
	}
	KUNIT_ASSERT_EQ(test, pass(test, req->op, &req->p, PAGE_SIZE), 0);
	expect_copied(test, req, PAGE_SIZE);

	for (at = req->size; at < PAGE_SIZE; at += at < 160 ? 1 : 61) {
		u8 __user *from = env->uend - PAGE_SIZE;

		KUNIT_ASSERT_EQ(test, put_user(1, from + at), 0);
		KUNIT_ASSERT_EQ_MSG(test,
				    iommu_uapi_copy_from_user(&env->payload, req->op,
							      from, PAGE_SIZE),
				    -E2BIG, "byte %u is set", at);
		KUNIT_ASSERT_EQ(test, put_user(0, from + at), 0);
	}
}

/* Size case 4: cut inside what the request needs */
static void copy_cut(struct kunit *test)
{
	const struct request *req = test->param_value;
	u32 argsz;

	for (argsz = 0; argsz < req->needed; argsz++)
		KUNIT_ASSERT_EQ_MSG(test, pass(test, req->op, &req->p, argsz),
				    -EINVAL, "argsz %u", argsz);
}

static void copy_huge(struct kunit *test)
{
	static const u32 sizes[] = { 0x1001, 0x10000001, INT_MAX, 0x80000000,
				     U32_MAX - 3, U32_MAX };
	const struct request *req = test->param_value;
	struct env *env = test->priv;
	unsigned int i;

	put_mem(test, env->umem, &req->p, sizeof(req->p));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		u32 argsz = max_t(u32, sizes[i], PAGE_SIZE + 1);

		put_mem(test, env->umem, &argsz, sizeof(argsz));
		KUNIT_ASSERT_EQ_MSG(test,
				    iommu_uapi_copy_from_user(&env->payload, req->op,
							      env->umem, SIZE_MAX),
				    -E2BIG, "argsz %#x", argsz);
	}
}

/* What follows the payload in memory is not the payload's. */
static void copy_garbage_behind(struct kunit *test)
{
	const struct request *req = test->param_value;
	struct env *env = test->priv;
	u32 argsz;

	for (argsz = req->needed; argsz <= req->size + 8; argsz++) {
		memset(env->kmem, 0xff, PAGE_SIZE);
		memset(env->kmem, 0, argsz);
		memcpy(env->kmem, &req->p, min(argsz, req->size));
		memcpy(env->kmem, &argsz, sizeof(argsz));
		put_mem(test, env->umem, env->kmem, PAGE_SIZE);

		memset(&env->payload, POISON, sizeof(env->payload));
		KUNIT_ASSERT_EQ_MSG(test,
				    iommu_uapi_copy_from_user(&env->payload, req->op,
							      env->umem, PAGE_SIZE),
				    0, "argsz %u", argsz);
		expect_copied(test, req, argsz);
	}
}

/* The wrapper around the payload has less room than the payload claims. */
static void copy_avail(struct kunit *test)
{
	const struct request *req = test->param_value;
	struct env *env = test->priv;
	size_t avail;

	KUNIT_ASSERT_EQ(test, pass(test, req->op, &req->p, req->size), 0);
	for (avail = 0; avail < req->size; avail++)
		KUNIT_ASSERT_EQ_MSG(test,
				    iommu_uapi_copy_from_user(&env->payload, req->op,
							      env->uend - req->size,
							      avail),
				    -EINVAL, "room for %zu", avail);

	/* Without room for argsz nothing is read. */
	for (avail = 0; avail < sizeof(u32); avail++)
		KUNIT_ASSERT_EQ(test,
				iommu_uapi_copy_from_user(&env->payload, req->op,
							  env->uend, avail),
				-EINVAL);
	KUNIT_ASSERT_EQ(test, iommu_uapi_copy_from_user(&env->payload, req->op,
							env->uend, avail),
			-EFAULT);
}

/* The payload reaches into a page that is not mapped. */
static void copy_fault(struct kunit *test)
{
	const struct request *req = test->param_value;
	struct env *env = test->priv;
	u32 argsz = req->size + 16, over;

	memset(env->kmem, 0, argsz);
	memcpy(env->kmem, &req->p, req->size);
	memcpy(env->kmem, &argsz, sizeof(argsz));
	for (over = 1; over <= argsz; over++) {
		u8 __user *from = env->uend - argsz + over;

		put_mem(test, from, env->kmem, argsz - over);
		KUNIT_ASSERT_EQ_MSG(test,
				    iommu_uapi_copy_from_user(&env->payload, req->op,
							      from, argsz),
				    -EFAULT, "%u bytes cannot be read", over);
	}

	KUNIT_ASSERT_EQ(test, iommu_uapi_copy_from_user(&env->payload, req->op,
							NULL, argsz),
			-EFAULT);
	/* A kernel address */
	KUNIT_ASSERT_EQ(test,
			iommu_uapi_copy_from_user(&env->payload, req->op,
						  (void __user *)env->kmem, argsz),
			-EFAULT);
}

static void copy_page_boundary(struct kunit *test)
{
	const struct request *req = test->param_value;
	struct env *env = test->priv;
	union iommu_uapi_payload p = req->p;
	u32 before;

	memcpy(&p, &req->size, sizeof(req->size));
	for (before = 1; before < req->size; before++) {
		u8 __user *from = env->umem + PAGE_SIZE - before;

		put_mem(test, from, &p, req->size);
		memset(&env->payload, POISON, sizeof(env->payload));
		KUNIT_ASSERT_EQ_MSG(test,
				    iommu_uapi_copy_from_user(&env->payload, req->op,
							      from, req->size),
				    0, "%u bytes before the page boundary", before);
		expect_copied(test, req, req->size);
	}
}

static void copy_version(struct kunit *test)
{
	const struct request *req = test->param_value;
	union iommu_uapi_payload p = req->p;
	u32 version, bit;

	for (bit = 0; bit < 32; bit++) {
		version = BIT(bit) ^ 1;
		memcpy(&p.raw[4], &version, sizeof(version));
		KUNIT_ASSERT_EQ_MSG(test, pass(test, req->op, &p, req->size),
				    -EINVAL, "version %u", version);
		version = BIT(bit) | 1;
		memcpy(&p.raw[4], &version, sizeof(version));
		KUNIT_ASSERT_EQ_MSG(test, pass(test, req->op, &p, req->size),
				    version == 1 ? 0 : -EINVAL,
				    "version %u", version);
	}
}

/* A kernel whose payloads have more bytes than user space knows */
static void copy_grown(struct kunit *test)
{
	static const u32 grows[] = { 1, 8, 48 };
	const struct request *req = test->param_value;
	struct env *env = test->priv;
	union iommu_uapi_payload p;
	u32 argsz, i;

	if (!IS_ENABLED(CONFIG_IOMMU_UAPI_MOCK))
		kunit_skip(test, "payloads grow with CONFIG_IOMMU_UAPI_MOCK only");

	for (i = 0; i < ARRAY_SIZE(grows); i++) {
		u32 size = req->size + grows[i];

		set_grow(grows[i]);
		KUNIT_ASSERT_EQ(test, pass(test, req->op, &req->p,
					   req->needed - 1), -EINVAL);
		for (argsz = req->needed; argsz <= size; argsz++) {
			KUNIT_ASSERT_EQ_MSG(test,
					    pass(test, req->op, &req->p, argsz),
					    0, "argsz %u", argsz);
			expect_copied(test, req, argsz);
		}

		/* The bytes that only the grown kernel knows */
		p = req->p;
		memset(&p.raw[req->size], 0x5a, grows[i]);
		KUNIT_ASSERT_EQ(test, pass(test, req->op, &p, size), 0);
		KUNIT_ASSERT_MEMEQ(test, &env->payload.raw[4], &p.raw[4],
				   sizeof(p) - 4);
		KUNIT_ASSERT_EQ(test, pass(test, req->op, &p, size + 64), 0);
		KUNIT_ASSERT_EQ(test, put_user(1, env->uend - 64), 0);
		KUNIT_ASSERT_EQ(test,
				iommu_uapi_copy_from_user(&env->payload, req->op,
							  env->uend - 64 - size,
							  size + 64),
				-E2BIG);

		set_grow(0);
		KUNIT_ASSERT_EQ(test, pass(test, req->op, &p, size), -E2BIG);
	}
}

/*
 * Fields of a request set to something else, and what the copy step says of it
 */
struct change {
	const void *field;	/* in @any */
	u16 width;
	u64 value;
};

static const union iommu_uapi_payload any;

#define SET(field, value)	{ &(field), sizeof(field), value }
#define SET_PASID(m, v)		SET(any.pasid.m, v)
#define SET_BIND(m, v)		SET(any.bind.m, v)
#define SET_TABLE(m, v)		SET(any.table.m, v)
#define SET_INV(m, v)		SET(any.inv.m, v)
#define SET_BATCH(m, v)		SET(any.batch.m, v)
#define SET_RESP(m, v)		SET(any.resp.m, v)
#define SET_SEL(m, v)		SET(any.inv.granu.pasid_info.m, v)
#define SET_ADDR(m, v)		SET(any.inv.granu.addr_info.m, v)

static const struct rule {
	const char *name;
	enum request_id id;
	int ret;
	struct change set[4];
} rules[] = {
	{ "alloc: one PASID", ALLOC, 0, { SET_PASID(min, 9), SET_PASID(max, 9) } },
	{ "alloc: any", ALLOC, 0, { SET_PASID(min, 0), SET_PASID(max, U32_MAX) } },
	{ "alloc: empty range", ALLOC, -EINVAL, { SET_PASID(min, 9), SET_PASID(max, 8) } },
	{ "alloc: range wraps", ALLOC, -EINVAL,
	  { SET_PASID(min, U32_MAX), SET_PASID(max, 0) } },
	{ "alloc: result is set", ALLOC, -EINVAL, { SET_PASID(pasid, 1) } },
	{ "alloc: result is set, high", ALLOC, -EINVAL, { SET_PASID(pasid, 1U << 31) } },
	{ "free: all", FREE, 0, { SET_PASID(min, 0) } },
	{ "free: empty range", FREE, -EINVAL, { SET_PASID(min, 2), SET_PASID(max, 1) } },
	{ "free: result is set", FREE, -EINVAL, { SET_PASID(pasid, 1) } },

	{ "bind: PASID 1", BIND, 0, { SET_BIND(hpasid, 1) } },
	{ "bind: highest PASID", BIND, 0, { SET_BIND(hpasid, 0xfffff) } },
	{ "bind: PASID over 20 bits", BIND, -EINVAL, { SET_BIND(hpasid, 0x100000) } },
	{ "bind: PASID over 32 bits", BIND, -EINVAL, { SET_BIND(hpasid, BIT_ULL(32) + 5) } },
	{ "bind: PASID with top bit", BIND, -EINVAL, { SET_BIND(hpasid, BIT_ULL(63) + 5) } },
	{ "bind: PASID 0", BIND, -EINVAL, { SET_BIND(hpasid, 0) } },
	{ "bind: PASID 0, guest's number", BIND_GPASID, -EINVAL, { SET_BIND(hpasid, 0) } },
	{ "bind: guest's PASID 0", BIND_GPASID, 0, { SET_BIND(gpasid, 0) } },
	{ "bind: guest's PASID over 20 bits", BIND_GPASID, -EINVAL,
	  { SET_BIND(gpasid, 0x100000) } },
	{ "bind: guest's PASID over 32 bits", BIND_GPASID, -EINVAL,
	  { SET_BIND(gpasid, BIT_ULL(32) + 7) } },
	{ "bind: guest's PASID without its flag", BIND, 0, { SET_BIND(gpasid, U64_MAX) } },
	{ "bind: no PASID and a PASID", BIND_NO_PASID, -EINVAL, { SET_BIND(hpasid, 1) } },
	{ "bind: no PASID and a high PASID", BIND_NO_PASID, -EINVAL,
	  { SET_BIND(hpasid, BIT_ULL(32)) } },
	{ "bind: no PASID and guest's PASID", BIND_NO_PASID, -EINVAL,
	  { SET_BIND(flags, IOMMU_SVA_NO_PASID | IOMMU_SVA_GPASID_VAL) } },
	{ "bind: format 0", BIND, -EINVAL, { SET_BIND(format, 0) } },
	{ "bind: format of PASID tables", BIND, -EINVAL, { SET_BIND(format, 2) } },
	{ "bind: format as a mask", BIND, -EINVAL, { SET_BIND(format, 3) } },
	{ "bind: high format", BIND, -EINVAL, { SET_BIND(format, 0x80000001) } },
	{ "bind: table at 0", BIND, 0, { SET_BIND(gpgd, 0) } },
	{ "bind: table at the top", BIND, 0, { SET_BIND(gpgd, ~0xfffULL) } },
	{ "bind: table is not aligned, 1", BIND, -EINVAL, { SET_BIND(gpgd, 0x1001) } },
	{ "bind: table is not aligned, 64", BIND, -EINVAL, { SET_BIND(gpgd, 0x1040) } },
	{ "bind: table is not aligned, 2048", BIND, -EINVAL, { SET_BIND(gpgd, 0x1800) } },
	{ "bind: cache disable", BIND, -EINVAL,
	  { SET_BIND(vendor.vtd.flags, IOMMU_SVA_VTD_GPASID_CD) } },
	{ "bind: WPE without SRE", BIND, -EINVAL,
	  { SET_BIND(vendor.vtd.flags, IOMMU_SVA_VTD_GPASID_WPE) } },
	{ "bind: pat", BIND, -EINVAL, { SET_BIND(vendor.vtd.pat, 6) } },
	{ "bind: pat, high", BIND, -EINVAL, { SET_BIND(vendor.vtd.pat, 1U << 31) } },
	{ "bind: emt", BIND, -EINVAL, { SET_BIND(vendor.vtd.emt, 6) } },
	{ "bind: emt, high", BIND, -EINVAL, { SET_BIND(vendor.vtd.emt, 1U << 31) } },

	{ "unbind: PASID 0", UNBIND, -EINVAL, { SET_BIND(hpasid, 0) } },
	{ "unbind: PASID over 20 bits", UNBIND, -EINVAL, { SET_BIND(hpasid, 0x100000) } },
	{ "unbind: PASID over 32 bits", UNBIND, -EINVAL,
	  { SET_BIND(hpasid, BIT_ULL(32) + 5) } },
	{ "unbind: both numbers", UNBIND_GPASID, 0, { SET_BIND(hpasid, 5) } },
	{ "unbind: guest's PASID 0", UNBIND_GPASID, 0, { SET_BIND(gpasid, 0) } },
	{ "unbind: guest's PASID over 20 bits", UNBIND_GPASID, -EINVAL,
	  { SET_BIND(gpasid, 0x100000) } },
	{ "unbind: guest's PASID over 32 bits", UNBIND_GPASID, -EINVAL,
	  { SET_BIND(gpasid, BIT_ULL(32) + 7) } },
	{ "unbind: guest's and a high PASID", UNBIND_GPASID, -EINVAL,
	  { SET_BIND(hpasid, BIT_ULL(32)) } },
	{ "unbind: no PASID and a PASID", UNBIND_NO_PASID, -EINVAL,
	  { SET_BIND(hpasid, 1) } },
	{ "unbind: no PASID and guest's PASID", UNBIND_NO_PASID, -EINVAL,
	  { SET_BIND(flags, IOMMU_SVA_NO_PASID | IOMMU_SVA_GPASID_VAL) } },
	{ "unbind: does not look at the rest", UNBIND, 0,
	  { SET_BIND(format, 77), SET_BIND(addr_width, U32_MAX), SET_BIND(gpgd, 1) } },

	{ "PASID table: no PASIDs", TABLE, 0, { SET_TABLE(pasid_bits, 0) } },
	{ "PASID table: 21 bits", TABLE, -EINVAL, { SET_TABLE(pasid_bits, 21) } },
	{ "PASID table: 255 bits", TABLE, -EINVAL, { SET_TABLE(pasid_bits, 255) } },
	{ "PASID table: config 0", TABLE, -EINVAL, { SET_TABLE(config, 0) } },
	{ "PASID table: config 4", TABLE, -EINVAL, { SET_TABLE(config, 4) } },
	{ "PASID table: config 129", TABLE, -EINVAL, { SET_TABLE(config, 129) } },
	{ "PASID table: format 0", TABLE, -EINVAL, { SET_TABLE(format, 0) } },
	{ "PASID table: format of page tables", TABLE, -EINVAL, { SET_TABLE(format, 1) } },
	{ "PASID table: format as a mask", TABLE, -EINVAL, { SET_TABLE(format, 3) } },
	{ "PASID table: bypass, format 1", TABLE_BYPASS, -EINVAL, { SET_TABLE(format, 1) } },
	{ "PASID table: abort, format 0", TABLE_ABORT, -EINVAL, { SET_TABLE(format, 0) } },
	{ "PASID table: at 0", TABLE, 0, { SET_TABLE(base_ptr, 0) } },
	{ "PASID table: at the top", TABLE, 0, { SET_TABLE(base_ptr, ~0x3fULL) } },
	{ "PASID table: is not aligned, 1", TABLE, -EINVAL, { SET_TABLE(base_ptr, 0x41) } },
	{ "PASID table: is not aligned, 32", TABLE, -EINVAL, { SET_TABLE(base_ptr, 0x60) } },
	{ "PASID table: two levels", TABLE, 0, { SET_TABLE(vendor.smmuv3.s1fmt, 1) } },
	{ "PASID table: two levels, 64K", TABLE, 0, { SET_TABLE(vendor.smmuv3.s1fmt, 2) } },
	{ "PASID table: s1fmt 3", TABLE, -EINVAL, { SET_TABLE(vendor.smmuv3.s1fmt, 3) } },
	{ "PASID table: s1fmt 255", TABLE, -EINVAL, { SET_TABLE(vendor.smmuv3.s1fmt, 255) } },
	{ "PASID table: s1dss bypass", TABLE, 0, { SET_TABLE(vendor.smmuv3.s1dss, 1) } },
	{ "PASID table: s1dss descriptor 0", TABLE, 0, { SET_TABLE(vendor.smmuv3.s1dss, 2) } },
	{ "PASID table: s1dss 3", TABLE, -EINVAL, { SET_TABLE(vendor.smmuv3.s1dss, 3) } },
	{ "PASID table: s1dss 130", TABLE, -EINVAL, { SET_TABLE(vendor.smmuv3.s1dss, 130) } },
	{ "PASID table: unbind does not look at the rest", UNBIND_TABLE, 0,
	  { SET_TABLE(format, 77), SET_TABLE(config, 77) } },

	{ "invalidate: PASID 0", INV_PASID, 0, { SET_SEL(pasid, 0) } },
	{ "invalidate: highest PASID", INV_PASID, 0, { SET_SEL(pasid, 0xfffff) } },
	{ "invalidate: PASID over 20 bits", INV_PASID, -EINVAL, { SET_SEL(pasid, 0x100000) } },
	{ "invalidate: PASID over 32 bits", INV_PASID, -EINVAL,
	  { SET_SEL(pasid, BIT_ULL(32) + 5) } },
	{ "invalidate: guest's PASID over 20 bits", INV_GPASID, -EINVAL,
	  { SET_SEL(pasid, 0x100000) } },
	{ "invalidate: PASID without its flag", INV_NO_PASID, 0, { SET_SEL(pasid, U64_MAX) } },
	{ "invalidate: nothing named", INV_PASID, -EINVAL, { SET_SEL(flags, 0) } },
	{ "range: highest PASID", INV_ADDR_PASID, 0, { SET_ADDR(pasid, 0xfffff) } },
	{ "range: PASID over 20 bits", INV_ADDR_PASID, -EINVAL, { SET_ADDR(pasid, 0x100000) } },
	{ "range: PASID over 32 bits", INV_ADDR_PASID, -EINVAL,
	  { SET_ADDR(pasid, BIT_ULL(32) + 9) } },
	{ "range: PASID without its flag", INV_ADDR, 0, { SET_ADDR(pasid, U64_MAX) } },
	{ "range: granule 0", INV_ADDR, -EINVAL, { SET_ADDR(granule_size, 0), SET_ADDR(addr, 0) } },
	{ "range: granule 1", INV_ADDR, -EINVAL, { SET_ADDR(granule_size, 1) } },
	{ "range: granule 2048", INV_ADDR, -EINVAL, { SET_ADDR(granule_size, 2048) } },
	{ "range: granule 4095", INV_ADDR, -EINVAL,
	  { SET_ADDR(granule_size, 4095), SET_ADDR(addr, 0) } },
	{ "range: granule 12288", INV_ADDR, -EINVAL,
	  { SET_ADDR(granule_size, 12288), SET_ADDR(addr, 0) } },
	{ "range: granule 2^32 + 4096", INV_ADDR, -EINVAL,
	  { SET_ADDR(granule_size, BIT_ULL(32) + 4096), SET_ADDR(addr, 0) } },
	{ "range: granule 64K", INV_ADDR, 0,
	  { SET_ADDR(granule_size, 0x10000), SET_ADDR(addr, 0x30000) } },
	{ "range: granule 2^32", INV_ADDR, 0,
	  { SET_ADDR(granule_size, BIT_ULL(32)), SET_ADDR(addr, BIT_ULL(33)) } },
	{ "range: half of everything", INV_ADDR, 0,
	  { SET_ADDR(granule_size, BIT_ULL(63)), SET_ADDR(addr, BIT_ULL(63)) } },
	{ "range: no granules", INV_ADDR, -EINVAL, { SET_ADDR(nb_granules, 0) } },
	{ "range: no granules, from 0", INV_ADDR, -EINVAL,
	  { SET_ADDR(nb_granules, 0), SET_ADDR(addr, 0) } },
	{ "range: is not aligned, 1", INV_ADDR, -EINVAL, { SET_ADDR(addr, 0x7001) } },
	{ "range: is not aligned to 64K", INV_ADDR, -EINVAL,
	  { SET_ADDR(granule_size, 0x10000), SET_ADDR(addr, 0x38000) } },
	{ "range: is not aligned to 2^32", INV_ADDR, -EINVAL,
	  { SET_ADDR(granule_size, BIT_ULL(32)), SET_ADDR(addr, 0x7000) } },
	{ "range: last page", INV_ADDR, 0, { SET_ADDR(addr, ~0xfffULL) } },
	{ "range: up to the last page", INV_ADDR, 0,
	  { SET_ADDR(addr, 0x1000), SET_ADDR(nb_granules, BIT_ULL(52) - 1) } },
	{ "range: ends behind the last page", INV_ADDR, -EINVAL,
	  { SET_ADDR(addr, ~0xfffULL), SET_ADDR(nb_granules, 2) } },
	{ "range: ends behind the last page, 1 + all", INV_ADDR, -EINVAL,
	  { SET_ADDR(addr, 0x2000), SET_ADDR(nb_granules, BIT_ULL(52) - 1) } },
	{ "range: size overflows to 0", INV_ADDR, -EINVAL,
	  { SET_ADDR(addr, 0), SET_ADDR(nb_granules, BIT_ULL(52)) } },
	{ "range: size overflows to one page", INV_ADDR, -EINVAL,
	  { SET_ADDR(addr, 0), SET_ADDR(nb_granules, BIT_ULL(52) + 1) } },
	{ "range: as many granules as can be written", INV_ADDR, -EINVAL,
	  { SET_ADDR(addr, 0), SET_ADDR(nb_granules, U64_MAX) } },

	{ "batch: no entries", BATCH, 0, { SET_BATCH(count, 0) } },
	{ "batch: as many entries as can be written", BATCH, 0, { SET_BATCH(count, U32_MAX) } },
	{ "batch: smallest entries", BATCH, 0, { SET_BATCH(entry_size, 16) } },
	{ "batch: entries below that", BATCH, -EINVAL, { SET_BATCH(entry_size, 15) } },
	{ "batch: entries of nothing", BATCH, -EINVAL, { SET_BATCH(entry_size, 0) } },
	{ "batch: entries of a page", BATCH, 0, { SET_BATCH(entry_size, PAGE_SIZE) } },
	{ "batch: entries over a page", BATCH, -EINVAL, { SET_BATCH(entry_size, PAGE_SIZE + 1) } },
	{ "batch: entries of 2^31", BATCH, -EINVAL, { SET_BATCH(entry_size, 1U << 31) } },
	{ "batch: done is set", BATCH, -EINVAL, { SET_BATCH(done, 1) } },
	{ "batch: done is set, high", BATCH, -EINVAL, { SET_BATCH(done, 1U << 31) } },

	{ "response: success", RESPONSE_PASID, 0, { SET_RESP(code, 0) } },
	{ "response: invalid", RESPONSE_PASID, 0, { SET_RESP(code, 1) } },
	{ "response: code 3", RESPONSE_PASID, -EINVAL, { SET_RESP(code, 3) } },
	{ "response: high code", RESPONSE_PASID, -EINVAL, { SET_RESP(code, 1U << 31) } },
	{ "response: PASID without its flag", RESPONSE, -EINVAL, { SET_RESP(pasid, 1) } },
	{ "response: any group", RESPONSE, 0, { SET_RESP(grpid, U32_MAX) } },
};

static void rule_desc(const struct rule *rule, char *desc)
{
	strscpy(desc, rule->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(rule, rules, rule_desc);

static void poke(union iommu_uapi_payload *p, u16 offset, u16 width, u64 value)
{
	void *to = p->raw + offset;

	switch (width) {
	case 1:
		*(u8 *)to = value;
		break;
	case 4:
		*(u32 *)to = value;
		break;
	case 8:
		*(u64 *)to = value;
		break;
	}
}

static void copy_rule(struct kunit *test)
{
	const struct rule *rule = test->param_value;
	const struct request *req = &requests[rule->id];
	union iommu_uapi_payload p = req->p;
	const struct change *c;

	for (c = rule->set; c < rule->set + ARRAY_SIZE(rule->set) && c->field; c++)
		poke(&p, (const u8 *)c->field - any.raw, c->width, c->value);
	KUNIT_EXPECT_EQ(test, pass(test, req->op, &p, req->size), rule->ret);
}

/* All caches with all granularities: bit N of caches[G] is cache mask N. */
static void copy_caches(struct kunit *test)
{
	static const u8 legal[] = {
		BIT(1) | BIT(4) | BIT(5),
		BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7),
		BIT(1) | BIT(2) | BIT(3),
	};
	static const enum request_id ids[] = { INV_DOMAIN, INV_PASID, INV_ADDR };
	unsigned int granularity, cache;
	union iommu_uapi_payload p;

	for (granularity = 0; granularity < 256; granularity++) {
		bool known = granularity < ARRAY_SIZE(legal);

		p = requests[known ? ids[granularity] : INV_PASID].p;
		p.inv.granularity = granularity;
		for (cache = 0; cache < 256; cache++) {
			bool ok = known && cache < 8 && legal[granularity] & BIT(cache);

			p.inv.cache = cache;
			KUNIT_ASSERT_EQ_MSG(test,
					    pass(test, IOMMU_UAPI_INVALIDATE, &p, 56),
					    ok ? 0 : -EINVAL,
					    "granularity %u, caches %#x",
					    granularity, cache);
		}
	}
}

/*
 * Each flags word: which flags are defined, and each combination of them that
 * is legal in this request. No other combination is, and no other bit.
 */
static const struct flags_word {
	const char *name;
	enum request_id id;
	u16 offset;
	u16 width;
	u64 defined;
	u8 nr_legal;
	u64 legal[16];
} flags_words[] = {
	{ "alloc", ALLOC, 8, 4, 0, 1, { 0 } },
	{ "free", FREE, 8, 4, 0, 1, { 0 } },
	{ "bind, PASID", BIND, 16, 8, 0x3, 2, { 0x0, 0x1 } },
	{ "bind, no PASID", BIND_NO_PASID, 16, 8, 0x3, 1, { 0x2 } },
	{ "bind, VT-d", BIND, 56, 8, 0x43, 6,
	  { 0x0, 0x1, 0x2, 0x3, 0x41, 0x43 } },
	{ "unbind, PASID", UNBIND, 16, 8, 0x3, 2, { 0x0, 0x1 } },
	{ "unbind, no PASID", UNBIND_NO_PASID, 16, 8, 0x3, 2, { 0x1, 0x2 } },
	{ "bind PASID table", TABLE, 8, 4, 0x1, 2, { 0x0, 0x1 } },
	{ "bind PASID table, bypass", TABLE_BYPASS, 8, 4, 0x1, 2, { 0x0, 0x1 } },
	{ "bind PASID table, abort", TABLE_ABORT, 8, 4, 0x1, 2, { 0x0, 0x1 } },
	{ "unbind PASID table", UNBIND_TABLE, 8, 4, 0x1, 2, { 0x0, 0x1 } },
	{ "invalidate PASID", INV_PASID, 16, 4, 0xf, 7,
	  { 0x1, 0x2, 0x3, 0x5, 0x7, 0x8, 0xa } },
	{ "invalidate range", INV_ADDR_PASID, 16, 4, 0x1f, 16,
	  { 0x0, 0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x9, 0xb, 0xd, 0xf,
	    0x10, 0x12, 0x14, 0x16 } },
	{ "batch", BATCH, 8, 4, 0, 1, { 0 } },
	{ "response, PASID", RESPONSE_PASID, 8, 4, 0x3, 2, { 0x1, 0x3 } },
	{ "response, no PASID", RESPONSE, 8, 4, 0x3, 3, { 0x0, 0x1, 0x3 } },
};

static void flags_word_desc(const struct flags_word *word, char *desc)
{
	strscpy(desc, word->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(flags_word, flags_words, flags_word_desc);

static bool is_legal(const struct flags_word *word, u64 flags)
{
	unsigned int i;

	for (i = 0; i < word->nr_legal; i++)
		if (word->legal[i] == flags)
			return true;
	return false;
}

static void copy_flags(struct kunit *test)
{
	const struct flags_word *word = test->param_value;
	const struct request *req = &requests[word->id];
	union iommu_uapi_payload p = req->p;
	unsigned int i, bit;
	u64 flags = 0;

	do {
		poke(&p, word->offset, word->width, flags);
		KUNIT_EXPECT_EQ_MSG(test, pass(test, req->op, &p, req->size),
				    is_legal(word, flags) ? 0 : -EINVAL,
				    "flags %#llx", flags);
		flags = (flags - word->defined) & word->defined;
	} while (flags);

	for (i = 0; i < word->nr_legal; i++) {
		for (bit = 0; bit < 8 * word->width; bit++) {
			if (word->defined & BIT_ULL(bit))
				continue;
			flags = word->legal[i] | BIT_ULL(bit);
			poke(&p, word->offset, word->width, flags);
			KUNIT_EXPECT_EQ_MSG(test,
					    pass(test, req->op, &p, req->size),
					    -EINVAL, "flags %#llx", flags);
		}
	}
}

static const struct padding {
	const char *name;
	enum request_id id;
	u16 offset;
	u16 len;
} paddings[] = {
	{ "bind", BIND, 48, 8 },
	{ "bind, no PASID", BIND_NO_PASID, 48, 8 },
	{ "unbind", UNBIND, 48, 8 },
	{ "unbind, guest's PASID", UNBIND_GPASID, 48, 8 },
	{ "unbind, no PASID", UNBIND_NO_PASID, 48, 8 },
	{ "bind PASID table", TABLE, 18, 6 },
	{ "bind PASID table, SMMUv3", TABLE, 34, 6 },
	{ "bind PASID table, bypass", TABLE_BYPASS, 18, 6 },
	{ "bind PASID table, bypass, SMMUv3", TABLE_BYPASS, 34, 6 },
	{ "bind PASID table, abort", TABLE_ABORT, 18, 6 },
	{ "bind PASID table, abort, SMMUv3", TABLE_ABORT, 34, 6 },
	{ "unbind PASID table", UNBIND_TABLE, 18, 6 },
	{ "unbind PASID table, SMMUv3", UNBIND_TABLE, 34, 6 },
	{ "invalidate domain", INV_DOMAIN, 10, 6 },
	{ "invalidate PASID", INV_PASID, 10, 6 },
	{ "invalidate range", INV_ADDR, 10, 6 },
};

static void padding_desc(const struct padding *padding, char *desc)
{
	strscpy(desc, padding->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(padding, paddings, padding_desc);

static void copy_padding(struct kunit *test)
{
	const struct padding *padding = test->param_value;
	const struct request *req = &requests[padding->id];
	union iommu_uapi_payload p = req->p;
	unsigned int i, bit;

	for (i = padding->offset; i < padding->offset + padding->len; i++) {
		for (bit = 0; bit < 8; bit++) {
			p.raw[i] = BIT(bit);
			KUNIT_ASSERT_EQ_MSG(test,
					    pass(test, req->op, &p, req->size),
					    -EINVAL, "byte %u is %#x", i, p.raw[i]);
		}
		p.raw[i] = 0;
	}
	KUNIT_ASSERT_EQ(test, pass(test, req->op, &p, req->size), 0);
}

/* Rewrites the size of a payload over and over, between right and too large */
struct racer {
	struct mm_struct *mm;
	u32 __user *argsz;
	u32 good;
	u32 bad;
};

static int racer_fn(void *data)
{
	struct racer *r = data;
	int ret = 0;

	kthread_use_mm(r->mm);
	while (!kthread_should_stop()) {
		ret |= put_user(r->bad, r->argsz);
		ret |= put_user(r->good, r->argsz);
		cond_resched();
	}
	kthread_unuse_mm(r->mm);
	return ret;
}

/* The size that counts is the one that has been checked. */
static void copy_race(struct kunit *test)
{
	const struct request *req = &requests[BIND];
	struct env *env = test->priv;
	struct racer r = {
		.mm = current->mm,
		.argsz = (u32 __user *)env->umem,
		.good = req->size,
		.bad = PAGE_SIZE + 1,
	};
	unsigned long until = jiffies + HZ / 2;
	struct task_struct *task;
	u32 wrong = 0;
	int ret, other = 0;

	put_mem(test, env->umem, &req->p, sizeof(req->p));
	put_mem(test, r.argsz, &r.good, sizeof(r.good));
	mmget(r.mm);
	task = kthread_run(racer_fn, &r, "iommu_uapi_racer");
	if (IS_ERR(task)) {
		mmput(r.mm);
		KUNIT_FAIL_AND_ABORT(test, "no thread");
	}

	/* -EINVAL: argsz may be read byte by byte, half of each. */
	while (time_before(jiffies, until)) {
		ret = iommu_uapi_copy_from_user(&env->payload, req->op,
						env->umem, UMEM_SIZE);
		if (!ret && env->payload.bind.argsz != r.good)
			wrong = env->payload.bind.argsz;
		else if (ret && ret != -E2BIG && ret != -EINVAL)
			other = ret;
		cond_resched();
	}
	ret = kthread_stop(task);
	mmput(r.mm);

	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "a size that was not checked");
	KUNIT_EXPECT_EQ(test, other, 0);
}

/* Writing back touches the result and nothing else. */
static void copy_to_user_result(struct kunit *test)
{
	static const struct {
		enum iommu_uapi_op op;
		u32 size;
		u32 out;
	} results[] = {
		{ IOMMU_UAPI_PASID_ALLOC, 24, 20 },
		{ IOMMU_UAPI_INVALIDATE_BATCH, 32, 20 },
	};
	struct env *env = test->priv;
	unsigned int i;
	u8 got[64];

	for (i = 0; i < ARRAY_SIZE(env->payload.raw); i++)
		env->payload.raw[i] = i;

	for (i = 0; i < ARRAY_SIZE(results); i++) {
		u32 out = results[i].out;
		u8 __user *to = env->uend - 64;

		memset(env->kmem, POISON, 64);
		put_mem(test, to, env->kmem, 64);
		KUNIT_ASSERT_EQ(test,
				iommu_uapi_copy_to_user(to, results[i].op,
							&env->payload), 0);
		get_mem(test, got, to, 64);
		memcpy(env->kmem + out, env->payload.raw + out, 4);
		KUNIT_EXPECT_MEMEQ(test, got, env->kmem, 64);

		/* The result ends where the memory ends, or does not. */
		KUNIT_EXPECT_EQ(test,
				iommu_uapi_copy_to_user(env->uend - out - 4,
							results[i].op,
							&env->payload), 0);
		KUNIT_EXPECT_EQ(test,
				iommu_uapi_copy_to_user(env->uend - out - 3,
							results[i].op,
							&env->payload), -EFAULT);
		KUNIT_EXPECT_EQ(test,
				iommu_uapi_copy_to_user(NULL, results[i].op,
							&env->payload), -EFAULT);
	}
}

/* Answering a query: as much as there is room for, and not a byte more */
static void info_to_user(struct kunit *test)
{
	struct env *env = test->priv;
	struct iommu_nesting_info info;
	const size_t size = 416;
	u8 *want = env->kmem, *got = env->kmem + 2 * PAGE_SIZE;
	u8 __user *to = env->umem;
	u32 argsz;

	KUNIT_ASSERT_EQ(test, sizeof(info), size);
	get_random_bytes(&info, sizeof(info));
	info.argsz = size;

	for (argsz = 0; argsz <= PAGE_SIZE; argsz += argsz < 512 ? 1 : 97) {
		memset(want, POISON, PAGE_SIZE + 8);
		memcpy(want, &argsz, sizeof(argsz));
		put_mem(test, to, want, PAGE_SIZE + 8);
		KUNIT_ASSERT_EQ_MSG(test,
				    iommu_uapi_info_to_user(to, PAGE_SIZE, &info),
				    argsz < 32 ? -EINVAL : 0, "argsz %u", argsz);
		if (argsz >= 32) {
			memset(want, 0, argsz);
			memcpy(want, &info, min_t(size_t, argsz, size));
		}
		get_mem(test, got, to, PAGE_SIZE + 8);
		KUNIT_ASSERT_MEMEQ_MSG(test, got, want, PAGE_SIZE + 8,
				       "argsz %u", argsz);
	}

	argsz = PAGE_SIZE;
	put_mem(test, to, &argsz, sizeof(argsz));
	KUNIT_EXPECT_EQ(test, iommu_uapi_info_to_user(to, PAGE_SIZE, &info), 0);
	put_mem(test, to, &argsz, sizeof(argsz));
	KUNIT_EXPECT_EQ(test, iommu_uapi_info_to_user(to, PAGE_SIZE - 1, &info),
			-EINVAL);
	argsz = PAGE_SIZE + 1;
	put_mem(test, to, &argsz, sizeof(argsz));
	KUNIT_EXPECT_EQ(test, iommu_uapi_info_to_user(to, UMEM_SIZE, &info),
			-E2BIG);
	KUNIT_EXPECT_EQ(test, iommu_uapi_info_to_user(to, 3, &info), -EINVAL);
}

static void info_to_user_fault(struct kunit *test)
{
	struct env *env = test->priv;
	struct iommu_nesting_info info = {};
	u32 sizes[] = { 32, 416, 600 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		u8 __user *to = env->uend - sizes[i];

		put_mem(test, to, &sizes[i], sizeof(sizes[i]));
		KUNIT_EXPECT_EQ(test,
				iommu_uapi_info_to_user(to, sizes[i], &info), 0);
		put_mem(test, to + 1, &sizes[i], sizeof(sizes[i]));
		KUNIT_EXPECT_EQ(test,
				iommu_uapi_info_to_user(to + 1, sizes[i], &info),
				-EFAULT);
	}
	KUNIT_EXPECT_EQ(test, iommu_uapi_info_to_user(env->uend, 416, &info),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, iommu_uapi_info_to_user(NULL, 416, &info), -EFAULT);
}

static struct kunit_case copy_cases[] = {
	KUNIT_CASE_PARAM(copy_exact, request_gen_params),
	KUNIT_CASE_PARAM(copy_older, request_gen_params),
	KUNIT_CASE_PARAM(copy_newer, request_gen_params),
	KUNIT_CASE_PARAM(copy_cut, request_gen_params),
	KUNIT_CASE_PARAM(copy_huge, request_gen_params),
	KUNIT_CASE_PARAM(copy_garbage_behind, request_gen_params),
	KUNIT_CASE_PARAM(copy_avail, request_gen_params),
	KUNIT_CASE_PARAM(copy_fault, request_gen_params),
	KUNIT_CASE_PARAM(copy_page_boundary, request_gen_params),
	KUNIT_CASE_PARAM(copy_version, request_gen_params),
	KUNIT_CASE_PARAM(copy_grown, request_gen_params),
	KUNIT_CASE_PARAM(copy_rule, rule_gen_params),
	KUNIT_CASE(copy_caches),
	KUNIT_CASE_PARAM(copy_flags, flags_word_gen_params),
	KUNIT_CASE_PARAM(copy_padding, padding_gen_params),
	KUNIT_CASE(copy_race),
	KUNIT_CASE(copy_to_user_result),
	KUNIT_CASE(info_to_user),
	KUNIT_CASE(info_to_user_fault),
	{}
};

static struct kunit_suite copy_suite = {
	.name = "iommu_uapi_copy",
	.init = env_init,
	.test_cases = copy_cases,
};

/*
 * What the query tells of each payload, against what the copy step does. The
 * masks are written out; that they are right is shown by flipping each bit in
 * requests that have, together, all of them set.
 */
static const struct payload {
	const char *name;
	u32 id;
	u32 size;
	u32 min_size;
	struct {
		u16 offset;
		u16 width;
		u64 mask;
		enum request_id ids[6];
		u16 nr_ids;
	} words[3];	/* flags, form_flags[0], form_flags[1] */
} payloads[] = {
	{ "PASID request", 0, 24, 20, { { 8, 4, 0, { ALLOC, FREE }, 2 } } },
	{ "bind page table", 1, 72, 48,
	  { { 16, 8, 0x3, { BIND, BIND_GPASID, BIND_NO_PASID, UNBIND,
			    UNBIND_GPASID, UNBIND_NO_PASID }, 6 },
	    { 56, 8, 0x43, { BIND, BIND_SRE }, 2 } } },
	{ "bind PASID table", 2, 40, 24,
	  { { 8, 4, 0x1, { TABLE, TABLE_BYPASS, TABLE_ABORT, UNBIND_TABLE }, 4 } } },
	{ "invalidate", 3, 56, 16,
	  { {},
	    { 16, 4, 0xf, { INV_PASID, INV_GPASID, INV_NO_PASID }, 3 },
	    { 16, 4, 0x1f, { INV_ADDR, INV_ADDR_PASID }, 2 } } },
	{ "invalidate in a batch", 4, 32, 32, { { 8, 4, 0, { BATCH }, 1 } } },
	{ "page response", 5, 24, 24,
	  { { 8, 4, 0x3, { RESPONSE, RESPONSE_PASID }, 2 } } },
	{ "nesting info", 6, 416, 32, {} },
};

static void payload_desc(const struct payload *payload, char *desc)
{
	strscpy(desc, payload->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(payload, payloads, payload_desc);

static u64 peek_word(const union iommu_uapi_payload *p, u16 offset, u16 width)
{
	return width == 8 ? *(u64 *)(p->raw + offset) : *(u32 *)(p->raw + offset);
}

static void info_flags(struct kunit *test)
{
	const struct payload *payload = test->param_value;
	struct iommu_payload_info infos[8] = {};
	unsigned int w, i, bit;

	iommu_uapi_payload_infos(infos, ARRAY_SIZE(infos));

	for (w = 0; w < ARRAY_SIZE(payload->words); w++) {
		u16 offset = payload->words[w].offset;
		u16 width = payload->words[w].width;
		u64 mask = w ? infos[payload->id].form_flags[w - 1] :
			       infos[payload->id].flags;
		u64 accepted = 0;

		KUNIT_ASSERT_EQ(test, mask, payload->words[w].mask);
		for (i = 0; i < payload->words[w].nr_ids; i++) {
			const struct request *req =
				&requests[payload->words[w].ids[i]];
			union iommu_uapi_payload p = req->p;
			u64 flags = peek_word(&p, offset, width);

			KUNIT_ASSERT_EQ(test, pass(test, req->op, &p, req->size), 0);
			accepted |= flags;
			for (bit = 0; bit < 8 * width; bit++) {
				poke(&p, offset, width, flags ^ BIT_ULL(bit));
				if (!pass(test, req->op, &p, req->size))
					accepted |= BIT_ULL(bit);
			}
		}
		KUNIT_EXPECT_EQ_MSG(test, accepted, mask, "flags word %u", w);
	}
}

static void info_sizes(struct kunit *test)
{
	const struct payload *payload = test->param_value;
	struct iommu_payload_info infos[8] = {};

	KUNIT_ASSERT_EQ(test, IOMMU_PAYLOAD_NR, 7);
	KUNIT_ASSERT_EQ(test, iommu_uapi_payload_infos(infos, 8), 7);
	KUNIT_EXPECT_EQ(test, infos[payload->id].id, payload->id);
	KUNIT_EXPECT_EQ(test, infos[payload->id].size, payload->size);
	KUNIT_EXPECT_EQ(test, infos[payload->id].min_size, payload->min_size);
	KUNIT_EXPECT_EQ(test, infos[payload->id].version, 1);
	KUNIT_EXPECT_EQ(test, infos[payload->id].form_flags[0],
			payload->words[1].mask);
	KUNIT_EXPECT_EQ(test, infos[payload->id].form_flags[1],
			payload->words[2].mask);
	KUNIT_EXPECT_EQ(test, infos[7].size, 0);

	if (!IS_ENABLED(CONFIG_IOMMU_UAPI_MOCK))
		return;
	/* What user space does not pass does not grow. */
	set_grow(16);
	KUNIT_ASSERT_EQ(test, iommu_uapi_payload_infos(infos, 8), 7);
	KUNIT_EXPECT_EQ(test, infos[payload->id].size,
			payload->size + (payload->id == 6 ? 0 : 16));
	KUNIT_EXPECT_EQ(test, infos[payload->id].min_size, payload->min_size);
}

static void info_room(struct kunit *test)
{
	struct iommu_payload_info infos[8], poison;
	u32 max, i;

	memset(&poison, POISON, sizeof(poison));
	for (max = 0; max <= ARRAY_SIZE(infos); max++) {
		memset(infos, POISON, sizeof(infos));
		KUNIT_ASSERT_EQ(test, iommu_uapi_payload_infos(infos, max),
				min(max, 7U));
		for (i = min(max, 7U); i < ARRAY_SIZE(infos); i++)
			KUNIT_ASSERT_MEMEQ(test, &infos[i], &poison,
					   sizeof(poison));
	}
}

static struct kunit_case payload_info_cases[] = {
	KUNIT_CASE_PARAM(info_sizes, payload_gen_params),
	KUNIT_CASE_PARAM(info_flags, payload_gen_params),
	KUNIT_CASE(info_room),
	{}
};

static struct kunit_suite payload_info_suite = {
	.name = "iommu_uapi_payload_info",
	.init = env_init,
	.test_cases = payload_info_cases,
};

/*
 * A device with an IOMMU whose driver does nothing but take note. It is set up
 * before the context that it is used in, so that it outlives it.
 */
struct fake_response {
	u32 pasid;
	u32 grpid;
	u32 code;
	u64 addr;				/* of the group's last request */
};

struct fake_dev {
	struct kunit *test;
	struct device *dev;
	struct dev_iommu iommu;
	struct iommu_fault_param *fault_param;
	struct iommu_nesting_info info;
	int info_ret;
	struct iommu_domain *stage2;		/* that info was asked for */
	struct iommu_uapi_bond *bond;		/* the last one */
	struct fake_response responses[1024];
	unsigned int nr_responses;
	unsigned int nr_seen;			/* by expect_response() */
};

static int fake_info(struct device *dev, struct iommu_domain *stage2,
		     struct iommu_nesting_info *info)
{
	struct fake_dev *fake = dev_get_drvdata(dev);

	fake->stage2 = stage2;
	*info = fake->info;
	return fake->info_ret;
}

static void fake_info_merge(struct iommu_nesting_info *into,
			    const struct iommu_nesting_info *other)
{
	into->vendor.vtd.cap &= other->vendor.vtd.cap;
}

static int fake_bind_pgtbl(struct iommu_uapi_bond *bond,
			   const struct iommu_gpasid_bind_data *data)
{
	struct fake_dev *fake = dev_get_drvdata(bond->dev);

	fake->bond = bond;
	return 0;
}

static void fake_unbind(struct iommu_uapi_bond *bond)
{
}

static int fake_enable_feat(struct device *dev, enum iommu_dev_features feat)
{
	return 0;
}

static void fake_page_response(struct device *dev, struct iopf_fault *evt,
			       struct iommu_page_response *msg)
{
	struct fake_dev *fake = dev_get_drvdata(dev);

	if (fake->nr_responses < ARRAY_SIZE(fake->responses))
		fake->responses[fake->nr_responses] = (struct fake_response) {
			.pasid = msg->pasid,
			.grpid = msg->grpid,
			.code = msg->code,
			.addr = evt->fault.prm.addr,
		};
	fake->nr_responses++;
}

static const struct iommu_uapi_ops fake_uapi_ops = {
	.info = fake_info,
	.bind_pgtbl = fake_bind_pgtbl,
	.unbind = fake_unbind,
};

static const struct iommu_ops fake_ops = {
	.uapi_ops = &fake_uapi_ops,
	.dev_enable_feat = fake_enable_feat,
	.dev_disable_feat = fake_enable_feat,
	.page_response = fake_page_response,
};

static const struct iommu_uapi_ops fake_merging_uapi_ops = {
	.info = fake_info,
	.info_merge = fake_info_merge,
};

static const struct iommu_ops fake_merging_ops = {
	.uapi_ops = &fake_merging_uapi_ops,
};

static const struct iommu_ops fake_plain_ops = {};

static struct iommu_device fake_iommu = { .ops = &fake_ops };
static struct iommu_device fake_merging_iommu = { .ops = &fake_merging_ops };
static struct iommu_device fake_plain_iommu = { .ops = &fake_plain_ops };
static struct iommu_domain fake_stage2;

static void fake_dev_leave_group(void *data)
{
	struct fake_dev *fake = data;

	KUNIT_EXPECT_EQ_MSG(fake->test, refcount_read(&fake->fault_param->users),
			    1, "page request groups are left");
	/* The group is not the IOMMU core's to take apart. */
	fake->dev->iommu = NULL;
	iommu_group_remove_device(fake->dev);
}

static struct fake_dev *fake_dev_join(struct kunit *test, const char *name,
				      struct iommu_device *iommu,
				      struct iommu_group *group)
{
	struct iommu_fault_param *param;
	struct fake_dev *fake;

	fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fake);
	param = kunit_kzalloc(test, sizeof(*param), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, param);
	fake->test = test;
	fake->fault_param = param;
	fake->info = (struct iommu_nesting_info) {
		.format = IOMMU_PASID_FORMAT_INTEL_VTD,
		.features = 0x1f,
		.addr_width = 48,
		.pasid_bits = 20,
		.caches = 7,
		.granularities = 7,
	};

	fake->dev = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, fake->dev);
	dev_set_drvdata(fake->dev, fake);

	mutex_init(&param->lock);
	refcount_set(&param->users, 1);
	param->dev = fake->dev;
	INIT_LIST_HEAD(&param->faults);

	fake->iommu.iommu_dev = iommu;
	fake->iommu.max_pasids = 1 << 20;
	fake->dev->iommu = &fake->iommu;

	KUNIT_ASSERT_EQ(test, iommu_group_add_device(group, fake->dev), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test,
							fake_dev_leave_group,
							fake), 0);
	return fake;
}

KUNIT_DEFINE_ACTION_WRAPPER(group_put_action, iommu_group_put,
			    struct iommu_group *);

static struct fake_dev *fake_dev_new(struct kunit *test, const char *name,
				     struct iommu_device *iommu)
{
	struct iommu_group *group = iommu_group_alloc();

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, group);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, group_put_action,
							group), 0);
	return fake_dev_join(test, name, iommu, group);
}

KUNIT_DEFINE_ACTION_WRAPPER(ctx_free_action, iommu_uapi_ctx_free,
			    struct iommu_uapi_ctx *);

static struct iommu_uapi_ctx *ctx_new(struct kunit *test)
{
	struct iommu_uapi_ctx *ctx = iommu_uapi_ctx_alloc(8);

	KUNIT_ASSERT_NOT_NULL(test, ctx);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, ctx_free_action,
							ctx), 0);
	return ctx;
}

static void attach(struct kunit *test, struct iommu_uapi_ctx *ctx,
		   struct fake_dev *fake)
{
	KUNIT_ASSERT_EQ(test, iommu_uapi_attach_group(ctx, fake->dev->iommu_group,
						      &fake_stage2), 0);
}

/* Fault records */

static const struct iommu_uapi_bond plain_bond = { .pasid = 5 };
static const struct iommu_uapi_bond gpasid_bond = {
	.pasid = 5, .gpasid = 70, .has_gpasid = true,
};

struct page_request_case {
	const char *name;
	const struct iommu_uapi_bond *bond;
	struct iommu_fault_page_request prm;
	struct uapi_iommu_fault_page_request want;
};

/* Bit 2 is NEEDS_PASID inside the kernel, private data for user space. */
static const struct page_request_case page_request_cases[] = {
	{ "plain", &plain_bond,
	  { .flags = 0, .grpid = 1, .perm = 1, .addr = 0x1000 },
	  { .flags = 0, .grpid = 1, .perm = 1, .addr = 0x1000 } },
	{ "last", &plain_bond,
	  { .flags = 2, .grpid = U32_MAX, .perm = 0xf, .addr = U64_MAX },
	  { .flags = 2, .grpid = U32_MAX, .perm = 0xf, .addr = U64_MAX } },
	{ "PASID", &plain_bond,
	  { .flags = 3, .pasid = 5, .grpid = 2, .perm = 2, .addr = 0x2000 },
	  { .flags = 3, .pasid = 5, .grpid = 2, .perm = 2, .addr = 0x2000 } },
	{ "PASID that is not valid", &plain_bond,
	  { .flags = 2, .pasid = 5, .grpid = 2 },
	  { .flags = 2, .pasid = 0, .grpid = 2 } },
	{ "guest's PASID", &gpasid_bond,
	  { .flags = 3, .pasid = 5, .grpid = 2 },
	  { .flags = 0xb, .pasid = 70, .grpid = 2 } },
	{ "guest's PASID, request without", &gpasid_bond,
	  { .flags = 2, .pasid = 5, .grpid = 2 },
	  { .flags = 2, .pasid = 0, .grpid = 2 } },
	{ "response needs PASID", &plain_bond,
	  { .flags = 7, .pasid = 5 }, { .flags = 3, .pasid = 5 } },
	{ "response needs PASID, guest's PASID", &gpasid_bond,
	  { .flags = 7, .pasid = 5 }, { .flags = 0xb, .pasid = 70 } },
	{ "flags that nobody knows", &plain_bond,
	  { .flags = ~3U }, { .flags = 0 } },
	{ "all flags", &plain_bond,
	  { .flags = U32_MAX, .pasid = 5 }, { .flags = 3, .pasid = 5 } },
	{ "private data", &plain_bond,
	  { .flags = 3, .pasid = 5, .private_data = { U64_MAX, 2 } },
	  { .flags = 7, .pasid = 5, .private_data = { U64_MAX, 2 } } },
	{ "private data, first word", &plain_bond,
	  { .flags = 0, .private_data = { BIT_ULL(63), 0 } },
	  { .flags = 4, .private_data = { BIT_ULL(63), 0 } } },
	{ "private data, second word", &gpasid_bond,
	  { .flags = 1, .pasid = 5, .private_data = { 0, 1 } },
	  { .flags = 0xd, .pasid = 70, .private_data = { 0, 1 } } },
};

static void page_request_desc(const struct page_request_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(page_request, page_request_cases, page_request_desc);

static void record_page_request(struct kunit *test)
{
	const struct page_request_case *c = test->param_value;
	struct uapi_iommu_fault rec, want;

	memset(&want, 0, sizeof(want));
	want.type = 2;
	want.prm = c->want;
	memset(&rec, POISON, sizeof(rec));
	iommu_uapi_encode_page_request(&rec, c->bond, &c->prm);
	KUNIT_EXPECT_MEMEQ(test, &rec, &want, sizeof(want));
}

static const struct unrecoverable_case {
	const char *name;
	const struct iommu_uapi_bond *bond;
	struct iommu_fault_unrecoverable event;
	struct iommu_fault_unrecoverable want;
} unrecoverable_cases[] = {
	{ "address", &plain_bond,
	  { .reason = 5, .flags = 2, .perm = 2, .addr = 0x1000 },
	  { .reason = 5, .flags = 2, .perm = 2, .addr = 0x1000 } },
	{ "PASID", &plain_bond,
	  { .reason = 8, .flags = 7, .pasid = 5, .perm = 0xf,
	    .addr = U64_MAX, .fetch_addr = 0x8000 },
	  { .reason = 8, .flags = 7, .pasid = 5, .perm = 0xf,
	    .addr = U64_MAX, .fetch_addr = 0x8000 } },
	{ "guest's PASID", &gpasid_bond,
	  { .reason = 1, .flags = 1, .pasid = 5 },
	  { .reason = 1, .flags = 9, .pasid = 70 } },
	{ "guest's PASID, event of another", &gpasid_bond,
	  { .reason = 3, .flags = 1, .pasid = 6 },
	  { .reason = 3, .flags = 1, .pasid = 6 } },
	{ "guest's PASID, no event of it", &gpasid_bond,
	  { .reason = 3, .flags = 2, .pasid = 5 },
	  { .reason = 3, .flags = 2, .pasid = 5 } },
	{ "guest's PASID, event without", &gpasid_bond,
	  { .reason = 1, .flags = 2, .addr = 0x1000 },
	  { .reason = 1, .flags = 2, .addr = 0x1000 } },
};

static void unrecoverable_desc(const struct unrecoverable_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(unrecoverable, unrecoverable_cases, unrecoverable_desc);

static void record_unrecoverable(struct kunit *test)
{
	const struct unrecoverable_case *c = test->param_value;
	struct uapi_iommu_fault rec, want;

	memset(&want, 0, sizeof(want));
	want.type = 1;
	want.event = c->want;
	memset(&rec, POISON, sizeof(rec));
	iommu_uapi_encode_unrecoverable(&rec, c->bond, &c->event);
	KUNIT_EXPECT_MEMEQ(test, &rec, &want, sizeof(want));
}

static struct kunit_case fault_record_cases[] = {
	KUNIT_CASE_PARAM(record_page_request, page_request_gen_params),
	KUNIT_CASE_PARAM(record_unrecoverable, unrecoverable_gen_params),
	{}
};

static struct kunit_suite fault_record_suite = {
	.name = "iommu_uapi_fault_record",
	.test_cases = fault_record_cases,
};

/*
 * The fault queue. Its sequence numbers wrap: each test is run with numbers
 * that do so at once, while the queue fills, and when it is full.
 */
#define REC_SIZE	64
#define RING		256

struct queue {
	struct env *env;
	struct fake_dev *fake;
	struct iommu_uapi_ctx *ctx;
	struct iommu_uapi_bond *bond;	/* PASID 'pasid', the guest's 70 */
	u32 pasid;
	struct file *file;
	u32 nr_events;			/* reported so far */
	u32 nr_read;
};

static const u32 starts[] = { 0, U32_MAX, U32_MAX - 1, U32_MAX - 100,
			      U32_MAX - RING + 1, INT_MAX - 2 };

static void start_desc(const u32 *start, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "from %#x", *start);
}

KUNIT_ARRAY_PARAM(start, starts, start_desc);

KUNIT_DEFINE_ACTION_WRAPPER(close_action, __fput_sync, struct file *);

static void queue_open(struct kunit *test, struct queue *q)
{
	struct iommu_uapi_faults *faults;
	struct file *file;

	file = iommu_uapi_fault_file(q->ctx, q->fake->dev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, close_action,
							file), 0);
	file->f_flags |= O_NONBLOCK;
	faults = file->private_data;
	if (test->param_value) {
		faults->head = *(const u32 *)test->param_value;
		faults->tail = faults->head;
	}
	q->file = file;
}

static void queue_close(struct kunit *test, struct queue *q)
{
	kunit_release_action(test, close_action, q->file);
	q->file = NULL;
}

/* Bind a page table; for a PASID, which is the guest's @gpasid, or without. */
static struct iommu_uapi_bond *queue_bind(struct kunit *test, struct queue *q,
					  u32 gpasid)
{
	struct iommu_gpasid_bind_data data = requests[BIND_NO_PASID].p.bind;
	struct iommu_pasid_request req = requests[ALLOC].p.pasid;

	if (gpasid) {
		KUNIT_ASSERT_EQ(test, iommu_uapi_pasid_alloc(q->ctx, &req), 0);
		data.flags = IOMMU_SVA_GPASID_VAL;
		data.hpasid = req.pasid;
		data.gpasid = gpasid;
	}
	KUNIT_ASSERT_EQ(test, iommu_uapi_bind_pgtbl(q->ctx, NULL, &data), 0);
	return q->fake->bond;
}

static void queue_unbind(struct kunit *test, struct queue *q,
			 struct iommu_uapi_bond *bond)
{
	struct iommu_gpasid_bind_data data = requests[UNBIND_NO_PASID].p.bind;

	if (bond->pasid) {
		data.flags = 0;
		data.hpasid = bond->pasid;
	}
	KUNIT_ASSERT_EQ(test, iommu_uapi_unbind_pgtbl(q->ctx, NULL, &data), 0);
}

static int queue_init(struct kunit *test)
{
	struct queue *q;

	KUNIT_ASSERT_EQ(test, env_init(test), 0);
	q = kunit_kzalloc(test, sizeof(*q), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, q);
	q->env = test->priv;
	q->fake = fake_dev_new(test, "fake", &fake_iommu);
	q->ctx = ctx_new(test);
	attach(test, q->ctx, q->fake);
	q->bond = queue_bind(test, q, 70);
	q->pasid = q->bond->pasid;
	KUNIT_ASSERT_NE(test, q->pasid, 70);
	queue_open(test, q);
	test->priv = q;
	return 0;
}

static void make_event(struct iommu_fault_unrecoverable *event, u32 nr)
{
	*event = (struct iommu_fault_unrecoverable) {
		.reason = 1 + nr % 8,
		.flags = IOMMU_FAULT_UNRECOV_ADDR_VALID,
		.perm = nr % 16,
		.addr = (u64)(nr + 1) << 12,
		.fetch_addr = ~(u64)nr,
	};
}

/* Report the next event, and say whether it was queued. */
static int report(struct queue *q)
{
	struct iommu_fault_unrecoverable event;

	make_event(&event, q->nr_events++);
	return iommu_uapi_report_unrecoverable(q->bond, &event);
}

static void fill(struct kunit *test, struct queue *q, u32 nr)
{
	while (nr--)
		KUNIT_ASSERT_EQ_MSG(test, report(q), 0, "event %u",
				    q->nr_events - 1);
}

static ssize_t queue_read(struct kunit *test, struct queue *q, void *to,
			  size_t count)
{
	u8 __user *buf = q->env->umem;
	loff_t pos = 0;
	ssize_t ret;

	ret = vfs_read(q->file, buf, count, &pos);
	if (ret > 0)
		get_mem(test, to, buf, ret);
	return ret;
}

static void expect_record(struct kunit *test, struct queue *q,
			  const struct uapi_iommu_fault *want)
{
	struct uapi_iommu_fault rec;

	KUNIT_ASSERT_EQ(test, queue_read(test, q, &rec, sizeof(rec)), REC_SIZE);
	KUNIT_ASSERT_MEMEQ(test, &rec, want, REC_SIZE);
}

/* The next @nr records are the events after those that have been seen. */
static void expect_events(struct kunit *test, struct queue *q, u32 nr)
{
	struct uapi_iommu_fault want;

	while (nr--) {
		memset(&want, 0, sizeof(want));
		want.type = 1;
		make_event(&want.event, q->nr_read++);
		expect_record(test, q, &want);
	}
}

static void expect_lost(struct kunit *test, struct queue *q, u64 unrecoverable,
			u64 page_requests)
{
	struct uapi_iommu_fault want;

	memset(&want, 0, sizeof(want));
	want.type = 3;
	want.lost.unrecoverable = unrecoverable;
	want.lost.page_requests = page_requests;
	expect_record(test, q, &want);
	q->nr_read += unrecoverable;
}

static void expect_poll(struct kunit *test, struct queue *q, __poll_t want)
{
	__poll_t got = vfs_poll(q->file, NULL);

	KUNIT_ASSERT_EQ(test, (__force u32)got, (__force u32)want);
}

static void expect_empty(struct kunit *test, struct queue *q)
{
	struct uapi_iommu_fault rec;

	expect_poll(test, q, EPOLLOUT | EPOLLWRNORM);
	KUNIT_ASSERT_EQ(test, queue_read(test, q, &rec, sizeof(rec)), -EAGAIN);
}

static void expect_readable(struct kunit *test, struct queue *q)
{
	expect_poll(test, q, EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM);
}

/* What the driver leaves in the PASID field of a request without PASID */
#define ANY_PASID	0xabcde

/* The request number @i of a group of @nr, as the driver reports it */
static void make_request(struct iommu_fault_page_request *prm,
			 struct iommu_uapi_bond *bond, u32 grpid, u32 i, u32 nr)
{
	*prm = (struct iommu_fault_page_request) {
		.flags = IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID,
		.pasid = bond->pasid ?: ANY_PASID,
		.grpid = grpid,
		.perm = IOMMU_FAULT_PERM_READ,
		.addr = (u64)grpid << 32 | i << 12,
	};
	if (bond->pasid)
		prm->flags |= IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
	if (i == nr - 1)
		prm->flags |= IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
}

/*
 * What iommu_report_device_fault() does with the last request of a group. It
 * puts all together that have the group's index: here @strays, and then the
 * group's own.
 */
static void request_pages_after(struct kunit *test, struct queue *q,
				struct iommu_uapi_bond *bond, u32 grpid, u32 nr,
				const struct iommu_fault_page_request *strays,
				u32 nr_strays)
{
	struct iommu_fault_param *param = q->fake->fault_param;
	struct iopf_group *group;
	struct iopf_fault *iopf;
	u32 i;

	group = kzalloc(sizeof(*group), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, group);
	INIT_LIST_HEAD(&group->faults);
	for (i = 0; i < nr_strays; i++) {
		iopf = kzalloc(sizeof(*iopf), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, iopf);
		iopf->fault.type = IOMMU_FAULT_PAGE_REQ;
		iopf->fault.prm = strays[i];
		list_add_tail(&iopf->list, &group->faults);
	}
	for (i = 0; i < nr; i++) {
		iopf = &group->last_fault;
		if (i < nr - 1)
			iopf = kzalloc(sizeof(*iopf), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, iopf);
		iopf->fault.type = IOMMU_FAULT_PAGE_REQ;
		make_request(&iopf->fault.prm, bond, grpid, i, nr);
		list_add_tail(&iopf->list, &group->faults);
	}
	group->fault_count = nr_strays + nr;
	group->attach_handle = &bond->handle;
	group->fault_param = param;
	refcount_inc(&param->users);
	list_add(&group->pending_node, &param->faults);

	KUNIT_ASSERT_EQ(test, iommu_uapi_iopf_handler(group), 0);
}

static void request_pages(struct kunit *test, struct queue *q,
			  struct iommu_uapi_bond *bond, u32 grpid, u32 nr)
{
	request_pages_after(test, q, bond, grpid, nr, NULL, 0);
}

static void expect_requests(struct kunit *test, struct queue *q,
			    struct iommu_uapi_bond *bond, u32 grpid,
			    u32 from, u32 to, u32 nr)
{
	struct iommu_fault_page_request prm;
	struct uapi_iommu_fault want;

	for (; from < to; from++) {
		make_request(&prm, bond, grpid, from, nr);
		memset(&want, 0, sizeof(want));
		want.type = 2;
		want.prm.flags = prm.flags & 3;
		want.prm.grpid = prm.grpid;
		want.prm.perm = prm.perm;
		want.prm.addr = prm.addr;
		if (bond->has_gpasid) {
			want.prm.flags |= IOMMU_FAULT_PAGE_REQUEST_GPASID;
			want.prm.pasid = bond->gpasid;
		}
		expect_record(test, q, &want);
	}
}

static void make_response(struct uapi_iommu_page_response *resp, u32 flags,
			  u32 pasid, u32 grpid, u32 code)
{
	*resp = (struct uapi_iommu_page_response) {
		.argsz = 24,
		.version = 1,
		.flags = flags,
		.pasid = pasid,
		.grpid = grpid,
		.code = code,
	};
}

static ssize_t queue_write(struct kunit *test, struct queue *q,
			   const void *from, size_t count)
{
	u8 __user *buf = q->env->uend - count;
	loff_t pos = 0;

	put_mem(test, buf, from, count);
	return vfs_write(q->file, buf, count, &pos);
}

static ssize_t respond(struct kunit *test, struct queue *q, u32 flags,
		       u32 pasid, u32 grpid, u32 code)
{
	struct uapi_iommu_page_response resp;

	make_response(&resp, flags, pasid, grpid, code);
	return queue_write(test, q, &resp, sizeof(resp));
}

/* The device has got this response, after those that have been seen. */
static void expect_response(struct kunit *test, struct queue *q, u32 pasid,
			    u32 grpid, u32 code)
{
	struct fake_dev *fake = q->fake;
	const struct fake_response *resp = &fake->responses[fake->nr_seen];

	KUNIT_ASSERT_LT(test, fake->nr_seen, fake->nr_responses);
	KUNIT_ASSERT_EQ(test, resp->pasid, pasid);
	KUNIT_ASSERT_EQ(test, resp->grpid, grpid);
	KUNIT_ASSERT_EQ(test, resp->code, code);
	fake->nr_seen++;
}

/* Likewise, and it was for the group of @nr requests. */
static void expect_response_to(struct kunit *test, struct queue *q, u32 grpid,
			       u32 nr, u32 code)
{
	struct iommu_fault_page_request prm;

	expect_response(test, q, q->pasid, grpid, code);
	make_request(&prm, q->bond, grpid, nr - 1, nr);
	KUNIT_ASSERT_EQ(test, q->fake->responses[q->fake->nr_seen - 1].addr,
			prm.addr);
}

static void expect_no_response(struct kunit *test, struct queue *q)
{
	KUNIT_ASSERT_EQ(test, q->fake->nr_seen, q->fake->nr_responses);
}

#define PASID_VALID	IOMMU_PAGE_RESP_PASID_VALID
#define GPASID		(IOMMU_PAGE_RESP_PASID_VALID | IOMMU_PAGE_RESP_GPASID)

static void queue_read_counts(struct kunit *test)
{
	struct queue *q = test->priv;
	struct uapi_iommu_fault recs[4];
	size_t count;

	expect_empty(test, q);
	fill(test, q, 8);
	expect_readable(test, q);
	for (count = 0; count < REC_SIZE; count++)
		KUNIT_ASSERT_EQ(test, queue_read(test, q, recs, count), -EINVAL);
	KUNIT_EXPECT_EQ(test, queue_read(test, q, recs, 127), 64);
	KUNIT_EXPECT_EQ(test, recs[0].event.addr, 0x1000);
	KUNIT_EXPECT_EQ(test, queue_read(test, q, recs, 128), 128);
	KUNIT_EXPECT_EQ(test, recs[1].event.addr, 0x3000);
	KUNIT_EXPECT_EQ(test, queue_read(test, q, recs, 255), 192);
	KUNIT_EXPECT_EQ(test, recs[2].event.addr, 0x6000);
	KUNIT_EXPECT_EQ(test, queue_read(test, q, recs, 256), 128);
	KUNIT_EXPECT_EQ(test, recs[1].event.addr, 0x8000);
	expect_empty(test, q);
}

/* A record that cannot be written to the reader's memory stays. */
static void queue_read_fault(struct kunit *test)
{
	struct queue *q = test->priv;
	u8 __user *uend = q->env->uend;
	struct uapi_iommu_fault rec;
	loff_t pos = 0;

	fill(test, q, 3);
	KUNIT_EXPECT_EQ(test, vfs_read(q->file, uend - 63, 128, &pos), -EFAULT);
	KUNIT_EXPECT_EQ(test, vfs_read(q->file, uend - 64 - 1, 192, &pos), 64);
	get_mem(test, &rec, uend - 64 - 1, sizeof(rec));
	KUNIT_EXPECT_EQ(test, rec.event.addr, 0x1000);
	q->nr_read = 1;
	expect_events(test, q, 2);
	expect_empty(test, q);
}

/* Full, overfull, and empty again, a few times over */
static void queue_full(struct kunit *test)
{
	struct queue *q = test->priv;
	u32 i;

	for (i = 0; i < 3; i++) {
		fill(test, q, RING);
		KUNIT_ASSERT_EQ(test, report(q), -ENOSPC);
		KUNIT_ASSERT_EQ(test, report(q), -ENOSPC);
		expect_readable(test, q);
		expect_events(test, q, RING);
		/* Only the loss is left to tell. */
		expect_readable(test, q);
		expect_lost(test, q, 2, 0);
		expect_empty(test, q);
	}
}

static void queue_never_full(struct kunit *test)
{
	struct queue *q = test->priv;
	u32 i;

	for (i = 0; i < 3 * RING; i++) {
		fill(test, q, 1 + i % 3);
		expect_events(test, q, 1 + i % 3);
		expect_empty(test, q);
	}
}

/* The record of a loss stands between what came before and after it. */
static void queue_lost_place(struct kunit *test)
{
	struct queue *q = test->priv;
	u32 i;

	fill(test, q, RING);
	for (i = 0; i < 3; i++)
		KUNIT_ASSERT_EQ(test, report(q), -ENOSPC);
	expect_events(test, q, 3);
	fill(test, q, 2);
	/* One more would have to displace something. */
	KUNIT_ASSERT_EQ(test, report(q), -ENOSPC);
	expect_events(test, q, RING - 3);
	expect_lost(test, q, 3, 0);
	expect_events(test, q, 2);
	expect_lost(test, q, 1, 0);
	expect_empty(test, q);
}

/* Room for one record is not enough for an event after a loss. */
static void queue_lost_room(struct kunit *test)
{
	struct queue *q = test->priv;

	fill(test, q, RING);
	KUNIT_ASSERT_EQ(test, report(q), -ENOSPC);
	expect_events(test, q, 1);
	KUNIT_ASSERT_EQ(test, report(q), -ENOSPC);
	expect_events(test, q, 1);
	fill(test, q, 1);
	KUNIT_ASSERT_EQ(test, report(q), -ENOSPC);
	expect_events(test, q, RING - 2);
	expect_lost(test, q, 2, 0);
	expect_events(test, q, 1);
	expect_lost(test, q, 1, 0);
	expect_empty(test, q);
}

/* What the hardware may have lost comes after what is in the queue. */
static void queue_lost_by_hardware(struct kunit *test)
{
	struct queue *q = test->priv;

	iommu_uapi_report_lost(q->bond);
	expect_readable(test, q);
	expect_lost(test, q, 1, 0);
	/* Nothing of ours had to go for it. */
	q->nr_read--;
	expect_empty(test, q);

	fill(test, q, 2);
	iommu_uapi_report_lost(q->bond);
	iommu_uapi_report_lost(q->bond);
	fill(test, q, 1);
	expect_events(test, q, 2);
	expect_lost(test, q, 2, 0);
	q->nr_read -= 2;
	expect_events(test, q, 1);
	expect_empty(test, q);

	/* Not to the next guest */
	iommu_uapi_faults_ignore(q->bond);
	iommu_uapi_report_lost(q->bond);
	expect_empty(test, q);
}

static void queue_group(struct kunit *test)
{
	struct queue *q = test->priv;

	fill(test, q, 1);
	request_pages(test, q, q->bond, 3, 4);
	fill(test, q, 1);
	request_pages(test, q, q->bond, 4, 1);

	/* It can be answered once its last request has been read. */
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 3, 0), -ENOENT);
	expect_events(test, q, 1);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 3, 0), -ENOENT);
	expect_requests(test, q, q->bond, 3, 0, 3, 4);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 3, 0), -ENOENT);
	expect_requests(test, q, q->bond, 3, 3, 4, 4);
	expect_no_response(test, q);

	/* Not these */
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 2, 0), -ENOENT);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 4, 0), -ENOENT);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 71, 3, 0), -ENOENT);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, q->pasid, 3, 0), -ENOENT);
	KUNIT_ASSERT_EQ(test, respond(test, q, PASID_VALID, 70, 3, 0), -ENOENT);
	KUNIT_ASSERT_EQ(test, respond(test, q, 0, 0, 3, 0), -ENOENT);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 3, 3), -EINVAL);
	expect_no_response(test, q);

	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 3, 2), 24);
	expect_response(test, q, q->pasid, 3, 2);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 3, 2), -ENOENT);

	/* The number on the bus will do, too. */
	expect_events(test, q, 1);
	expect_requests(test, q, q->bond, 4, 0, 1, 1);
	KUNIT_ASSERT_EQ(test, respond(test, q, PASID_VALID, q->pasid, 4, 0), 24);
	expect_response(test, q, q->pasid, 4, 0);
	expect_no_response(test, q);
	expect_empty(test, q);
}

/* Groups of the same name are answered in the order in which they came. */
static void queue_same_group_twice(struct kunit *test)
{
	struct queue *q = test->priv;
	u32 nr;

	request_pages(test, q, q->bond, 9, 2);
	request_pages(test, q, q->bond, 9, 1);
	expect_requests(test, q, q->bond, 9, 0, 2, 2);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 9, 0), 24);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 9, 1), -ENOENT);
	expect_requests(test, q, q->bond, 9, 0, 1, 1);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 9, 1), 24);
	expect_response_to(test, q, 9, 2, 0);
	expect_response_to(test, q, 9, 1, 1);
	expect_no_response(test, q);

	/* Also when either could be meant */
	request_pages(test, q, q->bond, 9, 1);
	request_pages(test, q, q->bond, 9, 2);
	request_pages(test, q, q->bond, 9, 3);
	for (nr = 1; nr <= 3; nr++)
		expect_requests(test, q, q->bond, 9, 0, nr, nr);
	for (nr = 1; nr <= 3; nr++) {
		KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 9, 0), 24);
		expect_response_to(test, q, 9, nr, 0);
	}
	expect_no_response(test, q);
}

/*
 * Neither another PASID nor another group index will do. There are more of them
 * than lists that the queue keeps groups in.
 */
static void queue_other_names(struct kunit *test)
{
	struct queue *q = test->priv;
	u32 i;

	request_pages(test, q, q->bond, 3, 1);
	expect_requests(test, q, q->bond, 3, 0, 1, 1);
	for (i = 0; i < 1024; i++) {
		if (i != q->pasid)
			KUNIT_ASSERT_EQ(test, respond(test, q, PASID_VALID, i, 3,
						      0), -ENOENT);
		if (i != 3) {
			KUNIT_ASSERT_EQ(test, respond(test, q, PASID_VALID,
						      q->pasid, i, 0), -ENOENT);
			KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, i, 0),
					-ENOENT);
		}
	}
	expect_no_response(test, q);
	KUNIT_ASSERT_EQ(test, respond(test, q, PASID_VALID, q->pasid, 3, 0), 24);
	expect_response(test, q, q->pasid, 3, 0);
}

static void queue_group_without_pasid(struct kunit *test)
{
	struct queue *q = test->priv;
	struct iommu_uapi_bond *bond = queue_bind(test, q, 0);

	request_pages(test, q, bond, 3, 2);
	request_pages(test, q, q->bond, 3, 1);
	expect_requests(test, q, bond, 3, 0, 2, 2);
	expect_requests(test, q, q->bond, 3, 0, 1, 1);
	KUNIT_ASSERT_EQ(test, respond(test, q, PASID_VALID, 0, 3, 0), -ENOENT);
	KUNIT_ASSERT_EQ(test, respond(test, q, 0, 0, 3, 1), 24);
	expect_response(test, q, ANY_PASID, 3, 1);
	KUNIT_ASSERT_EQ(test, respond(test, q, 0, 0, 3, 1), -ENOENT);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 3, 0), 24);
	expect_response(test, q, q->pasid, 3, 0);
	expect_no_response(test, q);
}

/* A group is queued as a whole, or answered at once. */
static void queue_group_room(struct kunit *test)
{
	struct queue *q = test->priv;

	request_pages(test, q, q->bond, 1, RING + 1);
	expect_response(test, q, q->pasid, 1, 1);
	expect_readable(test, q);
	expect_lost(test, q, 0, 1);
	expect_empty(test, q);

	request_pages(test, q, q->bond, 2, RING);
	expect_no_response(test, q);
	expect_requests(test, q, q->bond, 2, 0, RING, RING);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 2, 0), 24);
	expect_response(test, q, q->pasid, 2, 0);

	fill(test, q, RING - 2);
	request_pages(test, q, q->bond, 3, 3);
	expect_response(test, q, q->pasid, 3, 1);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 3, 0), -ENOENT);
	/* The record of the loss takes one of the two places. */
	request_pages(test, q, q->bond, 4, 2);
	expect_response(test, q, q->pasid, 4, 1);
	request_pages(test, q, q->bond, 5, 1);
	expect_no_response(test, q);
	KUNIT_ASSERT_EQ(test, report(q), -ENOSPC);

	expect_events(test, q, RING - 2);
	expect_lost(test, q, 0, 2);
	expect_requests(test, q, q->bond, 5, 0, 1, 1);
	expect_lost(test, q, 1, 0);
	expect_empty(test, q);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 5, 0), 24);
	expect_response(test, q, q->pasid, 5, 0);
}

/* Requests that have been read and not answered are bounded, too. */
static void queue_request_limit(struct kunit *test)
{
	struct queue *q = test->priv;
	u32 i;

	/* 1 + 3 + 1 + 3 ... makes 512 */
	for (i = 0; i < 256; i++) {
		u32 nr = i % 2 ? 3 : 1;

		request_pages(test, q, q->bond, i, nr);
		expect_requests(test, q, q->bond, i, 0, nr, nr);
	}
	expect_empty(test, q);
	expect_no_response(test, q);
	request_pages(test, q, q->bond, 256, 1);
	expect_response(test, q, q->pasid, 256, 1);

	/* The loss is told before what comes next. */
	fill(test, q, 1);
	expect_lost(test, q, 0, 1);
	expect_events(test, q, 1);

	/* Room for two is not for three. */
	for (i = 0; i < 4; i += 2) {
		KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, i, 0), 24);
		expect_response(test, q, q->pasid, i, 0);
	}
	request_pages(test, q, q->bond, 257, 3);
	expect_response(test, q, q->pasid, 257, 1);
	request_pages(test, q, q->bond, 258, 2);
	expect_no_response(test, q);
	expect_lost(test, q, 0, 1);
	expect_requests(test, q, q->bond, 258, 0, 2, 2);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 258, 0), 24);
	expect_response(test, q, q->pasid, 258, 0);

	/* The others are answered from the last to the first. */
	for (i = 255; i; i--) {
		if (i == 2)
			continue;
		KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, i, i % 3), 24);
		expect_response(test, q, q->pasid, i, i % 3);
	}
	for (i = 0; i < 2; i++) {
		request_pages(test, q, q->bond, i, RING);
		expect_requests(test, q, q->bond, i, 0, RING, RING);
	}
	request_pages(test, q, q->bond, 2, 1);
	expect_response(test, q, q->pasid, 2, 1);
	queue_close(test, q);
	KUNIT_ASSERT_EQ(test, q->fake->nr_responses, q->fake->nr_seen + 2);
}

/* What has strayed into a group from another PASID is not shown. */
static void queue_strays(struct kunit *test)
{
	struct queue *q = test->priv;
	struct iommu_uapi_bond *bond = queue_bind(test, q, 0);
	const struct iommu_fault_page_request strays[] = {
		{ .flags = 1, .pasid = q->pasid + 1, .grpid = 3, .addr = 1 << 12 },
		{ .flags = 0, .pasid = q->pasid, .grpid = 3, .addr = 2 << 12 },
	};
	const struct iommu_fault_page_request other = {
		.flags = 1, .pasid = 0, .grpid = 4, .addr = 3 << 12,
	};

	request_pages_after(test, q, q->bond, 3, 2, strays, 2);
	request_pages_after(test, q, bond, 4, 2, &other, 1);
	expect_requests(test, q, q->bond, 3, 0, 2, 2);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 3, 0), 24);
	expect_response(test, q, q->pasid, 3, 0);
	expect_requests(test, q, bond, 4, 0, 2, 2);
	KUNIT_ASSERT_EQ(test, respond(test, q, 0, 0, 4, 0), 24);
	expect_response(test, q, ANY_PASID, 4, 0);
	expect_empty(test, q);

	/* Nor does it take room in the queue. */
	fill(test, q, RING - 2);
	request_pages_after(test, q, q->bond, 3, 2, strays, 2);
	expect_no_response(test, q);
	expect_events(test, q, RING - 2);
	expect_requests(test, q, q->bond, 3, 0, 2, 2);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 3, 0), 24);
	expect_response(test, q, q->pasid, 3, 0);
	expect_empty(test, q);
}

/* Each of @nr groups, numbered @grpid onwards, has been answered "invalid". */
static void expect_invalid(struct kunit *test, struct queue *q, u32 pasid,
			   u32 grpid, u32 nr)
{
	struct fake_dev *fake = q->fake;
	DECLARE_BITMAP(seen, RING) = {};
	u32 i;

	KUNIT_ASSERT_EQ(test, fake->nr_responses, fake->nr_seen + nr);
	for (i = 0; i < nr; i++) {
		const struct fake_response *resp =
			&fake->responses[fake->nr_seen++];

		KUNIT_ASSERT_EQ(test, resp->pasid, pasid);
		KUNIT_ASSERT_EQ(test, resp->code, 1);
		KUNIT_ASSERT_GE(test, resp->grpid, grpid);
		KUNIT_ASSERT_LT(test, resp->grpid, grpid + nr);
		__set_bit(resp->grpid - grpid, seen);
	}
	KUNIT_ASSERT_EQ(test, bitmap_weight(seen, RING), nr);
}

/* What is unbound leaves no requests behind; the rest keeps its order. */
static void queue_holes(struct kunit *test)
{
	struct queue *q = test->priv;
	struct iommu_uapi_bond *bond = queue_bind(test, q, 0);
	u32 pasid = q->pasid;

	request_pages(test, q, q->bond, 10, 2);
	fill(test, q, 1);
	request_pages(test, q, bond, 3, 2);
	request_pages(test, q, q->bond, 11, 3);
	fill(test, q, 2);
	request_pages(test, q, q->bond, 12, 1);

	/* In front of the queue, in its midst, and at its end */
	queue_unbind(test, q, q->bond);
	expect_invalid(test, q, pasid, 10, 3);
	expect_readable(test, q);
	expect_events(test, q, 1);
	expect_requests(test, q, bond, 3, 0, 2, 2);
	KUNIT_ASSERT_EQ(test, respond(test, q, PASID_VALID, pasid, 11, 0), -ENOENT);
	KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, 11, 0), -ENOENT);
	KUNIT_ASSERT_EQ(test, respond(test, q, 0, 0, 3, 0), 24);
	expect_response(test, q, ANY_PASID, 3, 0);
	expect_events(test, q, 2);
	expect_empty(test, q);

	q->bond = bond;
	request_pages(test, q, bond, 13, 1);
	fill(test, q, 1);
	expect_requests(test, q, bond, 13, 0, 1, 1);
	KUNIT_ASSERT_EQ(test, respond(test, q, 0, 0, 13, 2), 24);
	expect_response(test, q, ANY_PASID, 13, 2);
	expect_events(test, q, 1);
	expect_empty(test, q);
}

/* A group that has been read in part when it goes */
static void queue_holes_half_read(struct kunit *test)
{
	struct queue *q = test->priv;
	struct iommu_uapi_bond *bond = queue_bind(test, q, 0);
	u32 pasid = q->pasid;

	request_pages(test, q, q->bond, 10, 3);
	request_pages(test, q, bond, 11, 1);
	expect_requests(test, q, q->bond, 10, 0, 1, 3);
	queue_unbind(test, q, q->bond);
	expect_invalid(test, q, pasid, 10, 1);
	expect_requests(test, q, bond, 11, 0, 1, 1);
	expect_empty(test, q);
	KUNIT_ASSERT_EQ(test, respond(test, q, 0, 0, 11, 0), 24);
	expect_response(test, q, ANY_PASID, 11, 0);
}

/* Nothing but holes is an empty queue, with room for all. */
static void queue_only_holes(struct kunit *test)
{
	struct queue *q = test->priv;
	struct iommu_uapi_bond *bond = queue_bind(test, q, 0);
	u32 i;

	for (i = 0; i < RING; i++)
		request_pages(test, q, bond, i, 1);
	KUNIT_ASSERT_EQ(test, report(q), -ENOSPC);
	queue_unbind(test, q, bond);
	expect_invalid(test, q, ANY_PASID, 0, RING);
	expect_lost(test, q, 1, 0);
	expect_empty(test, q);
	fill(test, q, RING);
	expect_events(test, q, RING);
	expect_empty(test, q);
}

/* What was outstanding when it was unbound does not count any more. */
static void queue_unbound_limit(struct kunit *test)
{
	struct queue *q = test->priv;
	struct iommu_uapi_bond *bond = queue_bind(test, q, 0);
	u32 i;

	for (i = 0; i < 2; i++) {
		request_pages(test, q, bond, i, RING);
		expect_requests(test, q, bond, i, 0, RING, RING);
	}
	request_pages(test, q, q->bond, 2, 1);
	expect_response(test, q, q->pasid, 2, 1);
	expect_lost(test, q, 0, 1);
	queue_unbind(test, q, bond);
	expect_invalid(test, q, ANY_PASID, 0, 2);

	/* Room for as many as at the beginning */
	for (i = 0; i < 2; i++) {
		request_pages(test, q, q->bond, i, RING);
		expect_no_response(test, q);
		expect_requests(test, q, q->bond, i, 0, RING, RING);
	}
	request_pages(test, q, q->bond, 2, 1);
	expect_response(test, q, q->pasid, 2, 1);
	expect_lost(test, q, 0, 1);
	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, respond(test, q, GPASID, 70, i, 0), 24);
		expect_response(test, q, q->pasid, i, 0);
	}
	expect_empty(test, q);
}

/* Several responses in one write, each as long as it says */
static void queue_write_many(struct kunit *test)
{
	struct queue *q = test->priv;
	struct uapi_iommu_page_response resp[4];
	u8 buf[128] = {};
	u32 i;

	for (i = 0; i < 8; i++) {
		request_pages(test, q, q->bond, i, 1);
		expect_requests(test, q, q->bond, i, 0, 1, 1);
	}

	KUNIT_EXPECT_EQ(test, queue_write(test, q, resp, 0), -EINVAL);
	for (i = 0; i < 4; i++)
		make_response(&resp[i], GPASID, 70, i, 0);
	for (i = 0; i < 24; i++)
		KUNIT_ASSERT_EQ(test, queue_write(test, q, resp, i), -EINVAL);
	expect_no_response(test, q);

	/* The second one is cut. */
	KUNIT_EXPECT_EQ(test, queue_write(test, q, resp, 47), 24);
	expect_response(test, q, q->pasid, 0, 0);
	expect_no_response(test, q);
	KUNIT_EXPECT_EQ(test, queue_write(test, q, &resp[1], 48), 48);
	expect_response(test, q, q->pasid, 1, 0);
	expect_response(test, q, q->pasid, 2, 0);

	/* The second one answers nothing. */
	make_response(&resp[0], GPASID, 70, 3, 0);
	make_response(&resp[1], GPASID, 70, 0, 0);
	make_response(&resp[2], GPASID, 70, 4, 0);
	KUNIT_EXPECT_EQ(test, queue_write(test, q, resp, 72), 24);
	KUNIT_EXPECT_EQ(test, queue_write(test, q, &resp[1], 48), -ENOENT);
	expect_response(test, q, q->pasid, 3, 0);
	expect_no_response(test, q);

	/* The first comes from a newer user, and is longer. */
	make_response(&resp[0], GPASID, 70, 5, 0);
	resp[0].argsz = 40;
	make_response(&resp[1], GPASID, 70, 6, 2);
	memcpy(buf, &resp[0], 24);
	memcpy(buf + 40, &resp[1], 24);
	KUNIT_EXPECT_EQ(test, queue_write(test, q, buf, 64), 64);
	expect_response(test, q, q->pasid, 5, 0);
	expect_response(test, q, q->pasid, 6, 2);
	resp[0].grpid = 7;
	memcpy(buf, &resp[0], 24);
	buf[39] = 1;
	KUNIT_EXPECT_EQ(test, queue_write(test, q, buf, 64), -E2BIG);
	expect_no_response(test, q);

	/* 4 and 7 are left, and answered when the file is closed. */
	queue_close(test, q);
	KUNIT_EXPECT_EQ(test, q->fake->nr_responses, q->fake->nr_seen + 2);
}

static void queue_write_fault(struct kunit *test)
{
	struct queue *q = test->priv;
	struct uapi_iommu_page_response resp;
	u8 __user *buf = q->env->uend - 40;
	loff_t pos = 0;

	request_pages(test, q, q->bond, 1, 1);
	request_pages(test, q, q->bond, 2, 1);
	expect_requests(test, q, q->bond, 1, 0, 1, 1);
	expect_requests(test, q, q->bond, 2, 0, 1, 1);

	make_response(&resp, GPASID, 70, 1, 0);
	put_mem(test, buf, &resp, 24);
	make_response(&resp, GPASID, 70, 2, 0);
	put_mem(test, buf + 24, &resp, 16);
	KUNIT_EXPECT_EQ(test, vfs_write(q->file, buf, 48, &pos), 24);
	KUNIT_EXPECT_EQ(test, vfs_write(q->file, buf + 24, 24, &pos), -EFAULT);
	expect_response(test, q, q->pasid, 1, 0);
	expect_no_response(test, q);
	queue_close(test, q);
	expect_invalid(test, q, q->pasid, 2, 1);
}

/* One file for a device; closing it answers all, read or not. */
static void queue_close_answers(struct kunit *test)
{
	struct iommu_fault_unrecoverable event = {};
	struct queue *q = test->priv;
	struct file *file;

	file = iommu_uapi_fault_file(q->ctx, q->fake->dev);
	KUNIT_ASSERT_TRUE(test, IS_ERR(file));
	KUNIT_EXPECT_EQ(test, PTR_ERR(file), -EBUSY);
	flush_delayed_fput();

	request_pages(test, q, q->bond, 0, 2);
	expect_requests(test, q, q->bond, 0, 0, 2, 2);
	request_pages(test, q, q->bond, 1, 2);
	expect_requests(test, q, q->bond, 1, 0, 1, 2);
	request_pages(test, q, q->bond, 2, 1);
	expect_no_response(test, q);
	queue_close(test, q);
	expect_invalid(test, q, q->pasid, 0, 3);

	/* Nobody listens. */
	KUNIT_EXPECT_EQ(test, iommu_uapi_report_unrecoverable(q->bond, &event),
			-ENODEV);
	request_pages(test, q, q->bond, 3, 2);
	expect_invalid(test, q, q->pasid, 3, 1);

	/* And the next one begins with nothing. */
	queue_open(test, q);
	expect_empty(test, q);
	q->nr_read = q->nr_events;
	fill(test, q, 1);
	expect_events(test, q, 1);
	expect_empty(test, q);
}

static void expect_end(struct kunit *test, struct queue *q)
{
	struct uapi_iommu_fault rec;

	expect_poll(test, q, EPOLLHUP | EPOLLIN | EPOLLRDNORM);
	KUNIT_EXPECT_EQ(test, queue_read(test, q, &rec, sizeof(rec)), 0);
	KUNIT_EXPECT_EQ(test, respond(test, q, GPASID, 70, 0, 0), -ENODEV);
}

/* The device goes first: by its last close, or with its group. */
static void queue_device_goes(struct kunit *test)
{
	struct queue *q = test->priv;
	struct file *first = q->file;
	u32 pasid = q->pasid;

	request_pages(test, q, q->bond, 0, 2);
	expect_requests(test, q, q->bond, 0, 0, 2, 2);
	request_pages(test, q, q->bond, 1, 1);
	fill(test, q, 1);
	iommu_uapi_close_device(q->ctx, q->fake->dev);
	expect_invalid(test, q, pasid, 0, 2);
	expect_end(test, q);

	/* A container's binding stays, and can have another file. */
	KUNIT_EXPECT_EQ(test, report(q), -ENODEV);
	queue_open(test, q);
	q->nr_read = q->nr_events;
	fill(test, q, 1);
	expect_events(test, q, 1);
	request_pages(test, q, q->bond, 2, 1);
	iommu_uapi_detach_group(q->ctx, q->fake->dev->iommu_group);
	expect_invalid(test, q, pasid, 2, 1);
	expect_end(test, q);

	/* The files outlive the device's entry. */
	kunit_release_action(test, ctx_free_action, q->ctx);
	expect_end(test, q);
	queue_close(test, q);
	q->file = first;
	expect_end(test, q);
	queue_close(test, q);
}

static void queue_no_file(struct kunit *test)
{
	struct fake_dev *plain, *outside, *shared;
	struct iommu_uapi_ctx *ctx;

	plain = fake_dev_new(test, "plain", &fake_plain_iommu);
	outside = fake_dev_new(test, "outside", &fake_iommu);
	shared = fake_dev_new(test, "shared", &fake_iommu);
	fake_dev_join(test, "neighbour", &fake_iommu, shared->dev->iommu_group);
	ctx = ctx_new(test);
	attach(test, ctx, plain);
	attach(test, ctx, shared);
	KUNIT_EXPECT_EQ(test, PTR_ERR(iommu_uapi_fault_file(ctx, plain->dev)),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, PTR_ERR(iommu_uapi_fault_file(ctx, outside->dev)),
			-ENODEV);
	KUNIT_EXPECT_EQ(test, PTR_ERR(iommu_uapi_fault_file(ctx, shared->dev)),
			-EPERM);
	flush_delayed_fput();
}

/* A reader that waits */
struct reader {
	struct mm_struct *mm;
	struct file *file;
	u8 __user *buf;
	ssize_t ret;
	struct completion done;
};

static int reader_fn(void *data)
{
	struct reader *r = data;
	loff_t pos = 0;

	kthread_use_mm(r->mm);
	r->ret = vfs_read(r->file, r->buf, REC_SIZE, &pos);
	kthread_unuse_mm(r->mm);
	complete(&r->done);
	return 0;
}

static void queue_read_waits(struct kunit *test)
{
	struct queue *q = test->priv;
	struct reader r = { .mm = current->mm, .buf = q->env->umem };
	struct task_struct *task;
	bool early, late;
	unsigned int i;

	r.file = q->file;
	r.file->f_flags &= ~O_NONBLOCK;
	for (i = 0; i < 3; i++) {
		init_completion(&r.done);
		mmget(r.mm);
		task = kthread_run(reader_fn, &r, "iommu_uapi_reader");
		if (IS_ERR(task)) {
			mmput(r.mm);
			KUNIT_FAIL_AND_ABORT(test, "no thread");
		}
		early = wait_for_completion_timeout(&r.done, HZ / 20);
		if (i == 0)
			report(q);
		else if (i == 1)
			request_pages(test, q, q->bond, 1, 1);
		else
			iommu_uapi_close_device(q->ctx, q->fake->dev);
		late = early || wait_for_completion_timeout(&r.done, 10 * HZ);
		/* It must not stay behind. */
		if (!late) {
			iommu_uapi_close_device(q->ctx, q->fake->dev);
			wait_for_completion(&r.done);
		}
		mmput(r.mm);
		KUNIT_ASSERT_FALSE(test, early);
		KUNIT_ASSERT_TRUE(test, late);
		KUNIT_ASSERT_EQ(test, r.ret, i < 2 ? REC_SIZE : 0);
	}
	expect_invalid(test, q, q->pasid, 1, 1);
}

static struct kunit_case fault_queue_cases[] = {
	KUNIT_CASE(queue_read_counts),
	KUNIT_CASE(queue_read_fault),
	KUNIT_CASE_PARAM(queue_full, start_gen_params),
	KUNIT_CASE_PARAM(queue_never_full, start_gen_params),
	KUNIT_CASE_PARAM(queue_lost_place, start_gen_params),
	KUNIT_CASE_PARAM(queue_lost_room, start_gen_params),
	KUNIT_CASE_PARAM(queue_lost_by_hardware, start_gen_params),
	KUNIT_CASE_PARAM(queue_group, start_gen_params),
	KUNIT_CASE_PARAM(queue_same_group_twice, start_gen_params),
	KUNIT_CASE_PARAM(queue_other_names, start_gen_params),
	KUNIT_CASE_PARAM(queue_group_without_pasid, start_gen_params),
	KUNIT_CASE_PARAM(queue_group_room, start_gen_params),
	KUNIT_CASE_PARAM(queue_request_limit, start_gen_params),
	KUNIT_CASE_PARAM(queue_strays, start_gen_params),
	KUNIT_CASE_PARAM(queue_holes, start_gen_params),
	KUNIT_CASE_PARAM(queue_holes_half_read, start_gen_params),
	KUNIT_CASE_PARAM(queue_only_holes, start_gen_params),
	KUNIT_CASE_PARAM(queue_unbound_limit, start_gen_params),
	KUNIT_CASE(queue_write_many),
	KUNIT_CASE(queue_write_fault),
	KUNIT_CASE(queue_close_answers),
	KUNIT_CASE(queue_device_goes),
	KUNIT_CASE(queue_no_file),
	KUNIT_CASE(queue_read_waits),
	{}
};

static struct kunit_suite fault_queue_suite = {
	.name = "iommu_uapi_fault_queue",
	.init = queue_init,
	.test_cases = fault_queue_cases,
};

/* What a device can do, and what the devices of a context have in common */

static void info_dev_init(struct fake_dev *fake, struct iommu_uapi_dev *udev)
{
	*udev = (struct iommu_uapi_dev) {
		.dev = fake->dev,
		.stage2 = &fake_stage2,
	};
	iommu_uapi_dev_init_info(udev);
}

static void info_dev(struct kunit *test)
{
	struct iommu_nesting_info zero = {};
	struct iommu_uapi_dev udev;
	struct fake_dev *fake;

	fake = fake_dev_new(test, "fake", &fake_iommu);
	info_dev_init(fake, &udev);
	KUNIT_EXPECT_PTR_EQ(test, udev.ops, &fake_uapi_ops);
	KUNIT_EXPECT_PTR_EQ(test, fake->stage2, &fake_stage2);
	KUNIT_EXPECT_MEMEQ(test, &udev.info, &fake->info, sizeof(udev.info));

	/* Features that the core does not know are not passed on. */
	fake->info.features = U32_MAX;
	info_dev_init(fake, &udev);
	KUNIT_EXPECT_EQ(test, udev.info.features, 0x1f);

	/* No nested translation, whatever the driver has filled in */
	fake->info_ret = -EOPNOTSUPP;
	info_dev_init(fake, &udev);
	KUNIT_EXPECT_NULL(test, udev.ops);
	KUNIT_EXPECT_MEMEQ(test, &udev.info, &zero, sizeof(zero));

	fake->iommu.iommu_dev = &fake_plain_iommu;
	info_dev_init(fake, &udev);
	KUNIT_EXPECT_NULL(test, udev.ops);
	KUNIT_EXPECT_MEMEQ(test, &udev.info, &zero, sizeof(zero));
}

static const struct pasid_bits_case {
	const char *name;
	u32 features;
	u16 vendor;
	u32 max_pasids;
	u32 want_features;
	u16 want;
} pasid_bits_cases[] = {
	{ "all the same", 0x1f, 20, 1 << 20, 0x1f, 20 },
	{ "hardware has less", 0x1f, 16, 1 << 20, 0x1f, 16 },
	{ "device has less", 0x1f, 20, 1 << 8, 0x1f, 8 },
	{ "device has no power of two", 0x1f, 20, 1000, 0x1f, 9 },
	{ "device has one PASID", 0x1f, 20, 1, 0x1f, 0 },
	{ "more than there is", 0x1f, 32, U32_MAX, 0x1f, 20 },
	{ "device has none", 0x1f, 20, 0, 0x1e, 0 },
	{ "guest's own numbers", 0x1e, 16, 1 << 8, 0x1e, 8 },
};

static void pasid_bits_desc(const struct pasid_bits_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(pasid_bits, pasid_bits_cases, pasid_bits_desc);

static void info_pasid_bits(struct kunit *test)
{
	const struct pasid_bits_case *c = test->param_value;
	struct iommu_uapi_dev udev;
	struct fake_dev *fake;

	fake = fake_dev_new(test, "fake", &fake_iommu);
	fake->info.features = c->features;
	fake->info.pasid_bits = c->vendor;
	fake->iommu.max_pasids = c->max_pasids;
	info_dev_init(fake, &udev);
	KUNIT_EXPECT_EQ(test, udev.info.features, c->want_features);
	KUNIT_EXPECT_EQ(test, udev.info.pasid_bits, c->want);
}

/* A virtual function has no page request interface of its own. */
static void info_virtfn(struct kunit *test)
{
#ifdef CONFIG_PCI
	struct iommu_uapi_dev udev;
	struct fake_dev *fake;
	struct pci_dev *pdev;

	fake = fake_dev_new(test, "fake", &fake_iommu);
	pdev = kunit_kzalloc(test, sizeof(*pdev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	pdev->dev.bus = &pci_bus_type;
	pdev->dev.iommu = &fake->iommu;
	dev_set_drvdata(&pdev->dev, fake);

	udev = (struct iommu_uapi_dev) { .dev = &pdev->dev };
	iommu_uapi_dev_init_info(&udev);
	KUNIT_EXPECT_EQ(test, udev.info.features, 0x1f);

	pdev->is_virtfn = 1;
	udev = (struct iommu_uapi_dev) { .dev = &pdev->dev };
	iommu_uapi_dev_init_info(&udev);
	KUNIT_EXPECT_EQ(test, udev.info.features,
			0x1f & ~IOMMU_NESTING_FEAT_PAGE_REQUEST);
#else
	kunit_skip(test, "no PCI");
#endif
}

/* The answer for one device, or without @dev for all */
static void expect_info(struct kunit *test, struct iommu_uapi_ctx *ctx,
			struct device *dev,
			const struct iommu_nesting_info *want)
{
	struct iommu_nesting_info info, full = *want;

	full.argsz = 416;
	full.nr_payloads = 7;
	KUNIT_ASSERT_EQ(test, iommu_uapi_payload_infos(full.payloads, 8), 7);

	memset(&info, POISON, sizeof(info));
	KUNIT_ASSERT_EQ(test, iommu_uapi_get_info(ctx, dev, &info), 0);
	KUNIT_EXPECT_MEMEQ(test, &info, &full, sizeof(info));
}

static void expect_no_info(struct kunit *test, struct iommu_uapi_ctx *ctx,
			   struct device *dev)
{
	struct iommu_nesting_info info;

	KUNIT_EXPECT_EQ(test, iommu_uapi_get_info(ctx, dev, &info), -EOPNOTSUPP);
}

/*
 * Two devices that differ in all that can be merged, attached in either order,
 * and with the values of the one or of the other merged into: that goes by the
 * numbers of their groups.
 */
static void info_merged(struct kunit *test)
{
	struct iommu_nesting_info want;
	struct iommu_uapi_ctx *ctx;
	struct fake_dev *a, *b;
	int turn;

	a = fake_dev_new(test, "a", &fake_iommu);
	a->info.features = 0x17;
	a->info.caches = 3;
	a->info.granularities = 6;
	a->info.addr_width = 57;
	a->info.pasid_bits = 15;
	a->info.vendor.vtd.cap = 0xff;
	b = fake_dev_new(test, "b", &fake_iommu);
	b->info.features = 0x1b;
	b->info.caches = 5;
	b->info.granularities = 3;
	b->info.addr_width = 48;
	b->info.pasid_bits = 16;
	b->info.vendor.vtd.cap = 0xff;
	ctx = ctx_new(test);

	want = a->info;
	want.features = 0x13;
	want.caches = 1;
	want.granularities = 2;
	want.addr_width = 48;
	want.pasid_bits = 15;

	expect_no_info(test, ctx, NULL);
	expect_no_info(test, ctx, a->dev);
	for (turn = 0; turn < 4; turn++) {
		bool b_first = turn % 2;

		if (turn == 2)
			swap(a->info, b->info);
		attach(test, ctx, b_first ? b : a);
		expect_info(test, ctx, NULL, b_first ? &b->info : &a->info);
		expect_no_info(test, ctx, b_first ? a->dev : b->dev);
		attach(test, ctx, b_first ? a : b);
		expect_info(test, ctx, NULL, &want);
		expect_info(test, ctx, a->dev, &a->info);
		expect_info(test, ctx, b->dev, &b->info);
		iommu_uapi_detach_group(ctx, a->dev->iommu_group);
		expect_info(test, ctx, NULL, &b->info);
		iommu_uapi_detach_group(ctx, b->dev->iommu_group);
		expect_no_info(test, ctx, NULL);
	}
}

/* Registers that differ are not told for both, unless the driver merges them. */
static void info_merged_vendor(struct kunit *test)
{
	struct fake_dev *a, *b, *c, *d;
	struct iommu_nesting_info want;
	struct iommu_uapi_ctx *ctx;

	a = fake_dev_new(test, "a", &fake_iommu);
	b = fake_dev_new(test, "b", &fake_iommu);
	c = fake_dev_new(test, "c", &fake_merging_iommu);
	d = fake_dev_new(test, "d", &fake_merging_iommu);
	ctx = ctx_new(test);
	memset(&a->info.vendor, 0x11, sizeof(a->info.vendor));
	b->info = a->info;
	/* The last byte counts as well. */
	b->info.vendor.padding2[63] = 0x12;
	c->info = a->info;
	c->info.vendor.vtd.cap = 0xf0;
	d->info = a->info;
	d->info.vendor.vtd.cap = 0x33;

	want = a->info;
	memset(&want.vendor, 0, sizeof(want.vendor));
	attach(test, ctx, a);
	expect_info(test, ctx, NULL, &a->info);
	attach(test, ctx, b);
	expect_info(test, ctx, NULL, &want);
	expect_info(test, ctx, b->dev, &b->info);
	iommu_uapi_detach_group(ctx, a->dev->iommu_group);
	iommu_uapi_detach_group(ctx, b->dev->iommu_group);

	want = a->info;
	want.vendor.vtd.cap = 0x30;
	attach(test, ctx, c);
	attach(test, ctx, d);
	expect_info(test, ctx, NULL, &want);
}

/* What one device lacks altogether the context lacks. */
static void info_mixed(struct kunit *test)
{
	struct fake_dev *vtd, *smmu, *plain;
	struct iommu_uapi_ctx *ctx;

	vtd = fake_dev_new(test, "vtd", &fake_iommu);
	smmu = fake_dev_new(test, "smmu", &fake_iommu);
	smmu->info.format = IOMMU_PASID_FORMAT_ARM_SMMUV3;
	plain = fake_dev_new(test, "plain", &fake_plain_iommu);
	ctx = ctx_new(test);

	attach(test, ctx, vtd);
	attach(test, ctx, smmu);
	expect_no_info(test, ctx, NULL);
	expect_info(test, ctx, vtd->dev, &vtd->info);
	expect_info(test, ctx, smmu->dev, &smmu->info);
	iommu_uapi_detach_group(ctx, smmu->dev->iommu_group);
	expect_info(test, ctx, NULL, &vtd->info);

	attach(test, ctx, plain);
	expect_no_info(test, ctx, NULL);
	expect_no_info(test, ctx, plain->dev);
	expect_info(test, ctx, vtd->dev, &vtd->info);
	iommu_uapi_detach_group(ctx, vtd->dev->iommu_group);
	expect_no_info(test, ctx, NULL);
}

/* A device that shares its group can have no tables of its own. */
static void info_shared(struct kunit *test)
{
	struct iommu_nesting_info want;
	struct fake_dev *a, *b, *before, *after;
	struct iommu_uapi_ctx *ctx;

	/* By the numbers of their groups, in which they are merged */
	before = fake_dev_new(test, "before", &fake_iommu);
	a = fake_dev_new(test, "a", &fake_iommu);
	b = fake_dev_join(test, "b", &fake_iommu, a->dev->iommu_group);
	after = fake_dev_new(test, "after", &fake_iommu);
	ctx = ctx_new(test);
	want = a->info;
	want.features = IOMMU_NESTING_FEAT_SYSWIDE_PASID |
			IOMMU_NESTING_FEAT_CACHE_INVLD;

	attach(test, ctx, a);
	expect_info(test, ctx, NULL, &want);
	expect_info(test, ctx, a->dev, &want);
	expect_info(test, ctx, b->dev, &want);
	attach(test, ctx, after);
	expect_info(test, ctx, NULL, &want);
	expect_info(test, ctx, after->dev, &after->info);
	iommu_uapi_detach_group(ctx, after->dev->iommu_group);
	attach(test, ctx, before);
	expect_info(test, ctx, NULL, &want);
	expect_info(test, ctx, before->dev, &before->info);
	expect_info(test, ctx, a->dev, &want);
}

static struct kunit_case info_cases[] = {
	KUNIT_CASE(info_dev),
	KUNIT_CASE_PARAM(info_pasid_bits, pasid_bits_gen_params),
	KUNIT_CASE(info_virtfn),
	KUNIT_CASE(info_merged),
	KUNIT_CASE(info_merged_vendor),
	KUNIT_CASE(info_mixed),
	KUNIT_CASE(info_shared),
	{}
};

static struct kunit_suite info_suite = {
	.name = "iommu_uapi_info",
	.test_cases = info_cases,
};

kunit_test_suites(&copy_suite, &payload_info_suite, &fault_record_suite,
		  &fault_queue_suite, &info_suite);
