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
	return 0;
}

static void env_exit(struct kunit *test)
{
	struct env *env = test->priv;

	if (env)
		set_grow(env->grow);
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
	u16 offset;
	u16 width;
	u64 value;
};

#define SET(s, member, value)	\
	{ offsetof(struct s, member), sizeof_field(struct s, member), value }
#define PASID(m, v)	SET(iommu_pasid_request, m, v)
#define BIND(m, v)	SET(iommu_gpasid_bind_data, m, v)
#define TABLE(m, v)	SET(iommu_pasid_table_config, m, v)
#define INV(m, v)	SET(iommu_cache_invalidate_info, m, v)
#define BATCH(m, v)	SET(iommu_cache_invalidate_batch, m, v)
#define RESP(m, v)	SET(uapi_iommu_page_response, m, v)
#define SEL(m, v)	INV(granu.pasid_info.m, v)
#define ADDR(m, v)	INV(granu.addr_info.m, v)

static const struct rule {
	const char *name;
	enum request_id id;
	int ret;
	struct change set[4];
} rules[] = {
	{ "alloc: one PASID", ALLOC, 0, { PASID(min, 9), PASID(max, 9) } },
	{ "alloc: any", ALLOC, 0, { PASID(min, 0), PASID(max, U32_MAX) } },
	{ "alloc: empty range", ALLOC, -EINVAL, { PASID(min, 9), PASID(max, 8) } },
	{ "alloc: range wraps", ALLOC, -EINVAL,
	  { PASID(min, U32_MAX), PASID(max, 0) } },
	{ "alloc: result is set", ALLOC, -EINVAL, { PASID(pasid, 1) } },
	{ "alloc: result is set, high", ALLOC, -EINVAL, { PASID(pasid, 1U << 31) } },
	{ "free: all", FREE, 0, { PASID(min, 0) } },
	{ "free: empty range", FREE, -EINVAL, { PASID(min, 2), PASID(max, 1) } },
	{ "free: result is set", FREE, -EINVAL, { PASID(pasid, 1) } },

	{ "bind: PASID 1", BIND, 0, { BIND(hpasid, 1) } },
	{ "bind: highest PASID", BIND, 0, { BIND(hpasid, 0xfffff) } },
	{ "bind: PASID over 20 bits", BIND, -EINVAL, { BIND(hpasid, 0x100000) } },
	{ "bind: PASID over 32 bits", BIND, -EINVAL, { BIND(hpasid, BIT_ULL(32) + 5) } },
	{ "bind: PASID with top bit", BIND, -EINVAL, { BIND(hpasid, BIT_ULL(63) + 5) } },
	{ "bind: PASID 0", BIND, -EINVAL, { BIND(hpasid, 0) } },
	{ "bind: PASID 0, guest's number", BIND_GPASID, -EINVAL, { BIND(hpasid, 0) } },
	{ "bind: guest's PASID 0", BIND_GPASID, 0, { BIND(gpasid, 0) } },
	{ "bind: guest's PASID over 20 bits", BIND_GPASID, -EINVAL,
	  { BIND(gpasid, 0x100000) } },
	{ "bind: guest's PASID over 32 bits", BIND_GPASID, -EINVAL,
	  { BIND(gpasid, BIT_ULL(32) + 7) } },
	{ "bind: guest's PASID without its flag", BIND, 0, { BIND(gpasid, U64_MAX) } },
	{ "bind: no PASID and a PASID", BIND_NO_PASID, -EINVAL, { BIND(hpasid, 1) } },
	{ "bind: no PASID and a high PASID", BIND_NO_PASID, -EINVAL,
	  { BIND(hpasid, BIT_ULL(32)) } },
	{ "bind: no PASID and guest's PASID", BIND_NO_PASID, -EINVAL,
	  { BIND(flags, IOMMU_SVA_NO_PASID | IOMMU_SVA_GPASID_VAL) } },
	{ "bind: format 0", BIND, -EINVAL, { BIND(format, 0) } },
	{ "bind: format of PASID tables", BIND, -EINVAL, { BIND(format, 2) } },
	{ "bind: format as a mask", BIND, -EINVAL, { BIND(format, 3) } },
	{ "bind: high format", BIND, -EINVAL, { BIND(format, 0x80000001) } },
	{ "bind: table at 0", BIND, 0, { BIND(gpgd, 0) } },
	{ "bind: table at the top", BIND, 0, { BIND(gpgd, ~0xfffULL) } },
	{ "bind: table is not aligned, 1", BIND, -EINVAL, { BIND(gpgd, 0x1001) } },
	{ "bind: table is not aligned, 64", BIND, -EINVAL, { BIND(gpgd, 0x1040) } },
	{ "bind: table is not aligned, 2048", BIND, -EINVAL, { BIND(gpgd, 0x1800) } },
	{ "bind: cache disable", BIND, -EINVAL,
	  { BIND(vendor.vtd.flags, IOMMU_SVA_VTD_GPASID_CD) } },
	{ "bind: WPE without SRE", BIND, -EINVAL,
	  { BIND(vendor.vtd.flags, IOMMU_SVA_VTD_GPASID_WPE) } },
	{ "bind: pat", BIND, -EINVAL, { BIND(vendor.vtd.pat, 6) } },
	{ "bind: pat, high", BIND, -EINVAL, { BIND(vendor.vtd.pat, 1U << 31) } },
	{ "bind: emt", BIND, -EINVAL, { BIND(vendor.vtd.emt, 6) } },
	{ "bind: emt, high", BIND, -EINVAL, { BIND(vendor.vtd.emt, 1U << 31) } },

	{ "unbind: PASID 0", UNBIND, -EINVAL, { BIND(hpasid, 0) } },
	{ "unbind: PASID over 20 bits", UNBIND, -EINVAL, { BIND(hpasid, 0x100000) } },
	{ "unbind: PASID over 32 bits", UNBIND, -EINVAL,
	  { BIND(hpasid, BIT_ULL(32) + 5) } },
	{ "unbind: both numbers", UNBIND_GPASID, 0, { BIND(hpasid, 5) } },
	{ "unbind: guest's PASID 0", UNBIND_GPASID, 0, { BIND(gpasid, 0) } },
	{ "unbind: guest's PASID over 20 bits", UNBIND_GPASID, -EINVAL,
	  { BIND(gpasid, 0x100000) } },
	{ "unbind: guest's PASID over 32 bits", UNBIND_GPASID, -EINVAL,
	  { BIND(gpasid, BIT_ULL(32) + 7) } },
	{ "unbind: guest's and a high PASID", UNBIND_GPASID, -EINVAL,
	  { BIND(hpasid, BIT_ULL(32)) } },
	{ "unbind: no PASID and a PASID", UNBIND_NO_PASID, -EINVAL,
	  { BIND(hpasid, 1) } },
	{ "unbind: no PASID and guest's PASID", UNBIND_NO_PASID, -EINVAL,
	  { BIND(flags, IOMMU_SVA_NO_PASID | IOMMU_SVA_GPASID_VAL) } },
	{ "unbind: does not look at the rest", UNBIND, 0,
	  { BIND(format, 77), BIND(addr_width, U32_MAX), BIND(gpgd, 1) } },

	{ "PASID table: no PASIDs", TABLE, 0, { TABLE(pasid_bits, 0) } },
	{ "PASID table: 21 bits", TABLE, -EINVAL, { TABLE(pasid_bits, 21) } },
	{ "PASID table: 255 bits", TABLE, -EINVAL, { TABLE(pasid_bits, 255) } },
	{ "PASID table: config 0", TABLE, -EINVAL, { TABLE(config, 0) } },
	{ "PASID table: config 4", TABLE, -EINVAL, { TABLE(config, 4) } },
	{ "PASID table: config 129", TABLE, -EINVAL, { TABLE(config, 129) } },
	{ "PASID table: format 0", TABLE, -EINVAL, { TABLE(format, 0) } },
	{ "PASID table: format of page tables", TABLE, -EINVAL, { TABLE(format, 1) } },
	{ "PASID table: format as a mask", TABLE, -EINVAL, { TABLE(format, 3) } },
	{ "PASID table: bypass, format 1", TABLE_BYPASS, -EINVAL, { TABLE(format, 1) } },
	{ "PASID table: abort, format 0", TABLE_ABORT, -EINVAL, { TABLE(format, 0) } },
	{ "PASID table: at 0", TABLE, 0, { TABLE(base_ptr, 0) } },
	{ "PASID table: at the top", TABLE, 0, { TABLE(base_ptr, ~0x3fULL) } },
	{ "PASID table: is not aligned, 1", TABLE, -EINVAL, { TABLE(base_ptr, 0x41) } },
	{ "PASID table: is not aligned, 32", TABLE, -EINVAL, { TABLE(base_ptr, 0x60) } },
	{ "PASID table: two levels", TABLE, 0, { TABLE(vendor.smmuv3.s1fmt, 1) } },
	{ "PASID table: two levels, 64K", TABLE, 0, { TABLE(vendor.smmuv3.s1fmt, 2) } },
	{ "PASID table: s1fmt 3", TABLE, -EINVAL, { TABLE(vendor.smmuv3.s1fmt, 3) } },
	{ "PASID table: s1fmt 255", TABLE, -EINVAL, { TABLE(vendor.smmuv3.s1fmt, 255) } },
	{ "PASID table: s1dss bypass", TABLE, 0, { TABLE(vendor.smmuv3.s1dss, 1) } },
	{ "PASID table: s1dss descriptor 0", TABLE, 0, { TABLE(vendor.smmuv3.s1dss, 2) } },
	{ "PASID table: s1dss 3", TABLE, -EINVAL, { TABLE(vendor.smmuv3.s1dss, 3) } },
	{ "PASID table: s1dss 130", TABLE, -EINVAL, { TABLE(vendor.smmuv3.s1dss, 130) } },
	{ "PASID table: unbind does not look at the rest", UNBIND_TABLE, 0,
	  { TABLE(format, 77), TABLE(config, 77) } },

	{ "invalidate: PASID 0", INV_PASID, 0, { SEL(pasid, 0) } },
	{ "invalidate: highest PASID", INV_PASID, 0, { SEL(pasid, 0xfffff) } },
	{ "invalidate: PASID over 20 bits", INV_PASID, -EINVAL, { SEL(pasid, 0x100000) } },
	{ "invalidate: PASID over 32 bits", INV_PASID, -EINVAL,
	  { SEL(pasid, BIT_ULL(32) + 5) } },
	{ "invalidate: guest's PASID over 20 bits", INV_GPASID, -EINVAL,
	  { SEL(pasid, 0x100000) } },
	{ "invalidate: PASID without its flag", INV_NO_PASID, 0, { SEL(pasid, U64_MAX) } },
	{ "invalidate: nothing named", INV_PASID, -EINVAL, { SEL(flags, 0) } },
	{ "range: highest PASID", INV_ADDR_PASID, 0, { ADDR(pasid, 0xfffff) } },
	{ "range: PASID over 20 bits", INV_ADDR_PASID, -EINVAL, { ADDR(pasid, 0x100000) } },
	{ "range: PASID over 32 bits", INV_ADDR_PASID, -EINVAL,
	  { ADDR(pasid, BIT_ULL(32) + 9) } },
	{ "range: PASID without its flag", INV_ADDR, 0, { ADDR(pasid, U64_MAX) } },
	{ "range: granule 0", INV_ADDR, -EINVAL, { ADDR(granule_size, 0), ADDR(addr, 0) } },
	{ "range: granule 1", INV_ADDR, -EINVAL, { ADDR(granule_size, 1) } },
	{ "range: granule 2048", INV_ADDR, -EINVAL, { ADDR(granule_size, 2048) } },
	{ "range: granule 4095", INV_ADDR, -EINVAL,
	  { ADDR(granule_size, 4095), ADDR(addr, 0) } },
	{ "range: granule 12288", INV_ADDR, -EINVAL,
	  { ADDR(granule_size, 12288), ADDR(addr, 0) } },
	{ "range: granule 2^32 + 4096", INV_ADDR, -EINVAL,
	  { ADDR(granule_size, BIT_ULL(32) + 4096), ADDR(addr, 0) } },
	{ "range: granule 64K", INV_ADDR, 0,
	  { ADDR(granule_size, 0x10000), ADDR(addr, 0x30000) } },
	{ "range: granule 2^32", INV_ADDR, 0,
	  { ADDR(granule_size, BIT_ULL(32)), ADDR(addr, BIT_ULL(33)) } },
	{ "range: half of everything", INV_ADDR, 0,
	  { ADDR(granule_size, BIT_ULL(63)), ADDR(addr, BIT_ULL(63)) } },
	{ "range: no granules", INV_ADDR, -EINVAL, { ADDR(nb_granules, 0) } },
	{ "range: is not aligned, 1", INV_ADDR, -EINVAL, { ADDR(addr, 0x7001) } },
	{ "range: is not aligned to 64K", INV_ADDR, -EINVAL,
	  { ADDR(granule_size, 0x10000), ADDR(addr, 0x38000) } },
	{ "range: is not aligned to 2^32", INV_ADDR, -EINVAL,
	  { ADDR(granule_size, BIT_ULL(32)), ADDR(addr, 0x7000) } },
	{ "range: last page", INV_ADDR, 0, { ADDR(addr, ~0xfffULL) } },
	{ "range: up to the last page", INV_ADDR, 0,
	  { ADDR(addr, 0x1000), ADDR(nb_granules, BIT_ULL(52) - 1) } },
	{ "range: ends behind the last page", INV_ADDR, -EINVAL,
	  { ADDR(addr, ~0xfffULL), ADDR(nb_granules, 2) } },
	{ "range: ends behind the last page, 1 + all", INV_ADDR, -EINVAL,
	  { ADDR(addr, 0x2000), ADDR(nb_granules, BIT_ULL(52) - 1) } },
	{ "range: size overflows to 0", INV_ADDR, -EINVAL,
	  { ADDR(addr, 0), ADDR(nb_granules, BIT_ULL(52)) } },
	{ "range: size overflows to one page", INV_ADDR, -EINVAL,
	  { ADDR(addr, 0), ADDR(nb_granules, BIT_ULL(52) + 1) } },
	{ "range: as many granules as can be written", INV_ADDR, -EINVAL,
	  { ADDR(addr, 0), ADDR(nb_granules, U64_MAX) } },

	{ "batch: no entries", BATCH, 0, { BATCH(count, 0) } },
	{ "batch: as many entries as can be written", BATCH, 0, { BATCH(count, U32_MAX) } },
	{ "batch: smallest entries", BATCH, 0, { BATCH(entry_size, 16) } },
	{ "batch: entries below that", BATCH, -EINVAL, { BATCH(entry_size, 15) } },
	{ "batch: entries of nothing", BATCH, -EINVAL, { BATCH(entry_size, 0) } },
	{ "batch: entries of a page", BATCH, 0, { BATCH(entry_size, PAGE_SIZE) } },
	{ "batch: entries over a page", BATCH, -EINVAL, { BATCH(entry_size, PAGE_SIZE + 1) } },
	{ "batch: entries of 2^31", BATCH, -EINVAL, { BATCH(entry_size, 1U << 31) } },
	{ "batch: done is set", BATCH, -EINVAL, { BATCH(done, 1) } },
	{ "batch: done is set, high", BATCH, -EINVAL, { BATCH(done, 1U << 31) } },

	{ "response: success", RESPONSE_PASID, 0, { RESP(code, 0) } },
	{ "response: invalid", RESPONSE_PASID, 0, { RESP(code, 1) } },
	{ "response: code 3", RESPONSE_PASID, -EINVAL, { RESP(code, 3) } },
	{ "response: high code", RESPONSE_PASID, -EINVAL, { RESP(code, 1U << 31) } },
	{ "response: PASID without its flag", RESPONSE, -EINVAL, { RESP(pasid, 1) } },
	{ "response: any group", RESPONSE, 0, { RESP(grpid, U32_MAX) } },
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

	for (c = rule->set; c < rule->set + ARRAY_SIZE(rule->set) && c->width; c++)
		poke(&p, c->offset, c->width, c->value);
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
	{ "bind PASID table, abort", TABLE_ABORT, 18, 6 },
	{ "unbind PASID table", UNBIND_TABLE, 18, 6 },
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
	mmget(r.mm);
	task = kthread_run(racer_fn, &r, "iommu_uapi_racer");
	if (IS_ERR(task)) {
		mmput(r.mm);
		KUNIT_FAIL_AND_ABORT(test, "no thread");
	}

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
	.exit = env_exit,
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
	.exit = env_exit,
	.test_cases = payload_info_cases,
};
