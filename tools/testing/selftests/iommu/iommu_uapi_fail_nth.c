// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: every allocation of every call fails once
 *
 * Each call is made with the first allocation on its way failing, then with the
 * second one, until it gets through without meeting the one that should fail.
 * Whatever fails, the call must either say so and leave everything as it was, or
 * have done what it was asked for. Calls that must not fail for want of memory
 * must not even ask for any.
 *
 * What the kernel has to say about it besides is at least as interesting: run it
 * with /proc/sys/kernel/panic_on_warn set, and kmemleak.
 */
#include "../kselftest_harness.h"
#include "iommu_uapi_utils.h"

#define VA_A		0x7f1234567000ULL
#define TEST_PASID	0x123
#define TEST_GPASID	0x77

#define IOTLB		IOMMU_CACHE_INV_TYPE_IOTLB
#define DEVTLB		IOMMU_CACHE_INV_TYPE_DEV_IOTLB
#define PASID_CACHE	IOMMU_CACHE_INV_TYPE_PASID

/* More than there are on any way, so that a loop without end is found */
#define MAX_NTH		1000

static bool have_fault_injection;

static __attribute__((constructor)) void setup_fault_injection(void)
{
	have_fault_injection = inject_setup();
}

#define fail_nth_test	FIXTURE_DATA(fail_nth)

FIXTURE(fail_nth)
{
	struct vmm vmm;
	/* Has a device that nothing happens to, to see what is left over */
	struct vmm observer;
	struct scope scope;
	struct guest_pt pt;
	__u64 page;
	__u64 cds;
	__u32 pasid;
	struct iommu_nesting_info info;
	int fault;
	/* /proc/thread-self/fail-nth */
	int nth_fd;
};

FIXTURE_VARIANT(fail_nth)
{
	bool device;
};

FIXTURE_VARIANT_ADD(fail_nth, container)
{
};

FIXTURE_VARIANT_ADD(fail_nth, device)
{
	.device = true,
};

FIXTURE_SETUP(fail_nth)
{
	if (!mock_present())
		SKIP(return, "no mock hardware");
	if (!have_fault_injection)
		SKIP(return, "fault injection is not enabled in the kernel");
	self->fault = -1;
	self->nth_fd = inject_open();
	ASSERT_LE(0, self->nth_fd);
	ASSERT_EQ(0, param_set(PARAM_MOCK("lack"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("grow"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), MOCK_STYLE_PGTBL));
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_EQ(0, vmm_init(&self->observer));
	/* There, so that no call has to fetch a page of it for the test */
	memset(self->vmm.ram, 0, GUEST_RAM_SIZE);
	memset(self->observer.ram, 0, GUEST_RAM_SIZE);
	ASSERT_DONE(vmm_open(&self->observer, VFIO_TYPE1_NESTING_IOMMU,
			     1 << 2));
	guest_pt_init(&self->pt, &self->vmm, GUEST_PT_VTD, 4);
	self->page = guest_page(&self->vmm);
	self->cds = guest_page(&self->vmm);
	guest_map(&self->pt, VA_A, self->page);
}

FIXTURE_TEARDOWN(fail_nth)
{
	close_fd(&self->fault);
	vmm_close(&self->vmm);
	vmm_close(&self->observer);
	close_fd(&self->nth_fd);
	params_restore();
}

/* Two devices, so that what has been done for the first must be undone */
static void open_devices(struct __test_metadata *_metadata,
			 fail_nth_test *self, bool device_scoped)
{
	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 0x3));
	self->scope = device_scoped ? device_scope(&self->vmm, 0) :
				      container_scope(&self->vmm);
}

/*
 * A call and its surroundings
 *
 * @prepare: set the stage for it, if not NULL
 * @call: make it; 0 or -1
 * @worked: see that it has done what it was asked for
 * @failed: see that it has done nothing
 * @undo: undo it
 */
struct step {
	const char *name;
	int (*prepare)(fail_nth_test *self);
	int (*call)(fail_nth_test *self);
	bool (*worked)(fail_nth_test *self);
	bool (*failed)(fail_nth_test *self);
	int (*undo)(fail_nth_test *self);
	/* Errors of code that is not ours need not be ENOMEM */
	bool any_errno;
};

/* Returns the number of allocations that were made to fail */
static unsigned int sweep(struct __test_metadata *_metadata,
			  fail_nth_test *self, const struct step *step)
{
	unsigned int nth;
	bool injected;
	int ret, err;

	for (nth = 1; nth < MAX_NTH; nth++) {
		ASSERT_EQ(0, step->prepare ? step->prepare(self) : 0);
		inject_start(self->nth_fd, nth);
		ret = step->call(self);
		err = errno;
		injected = inject_stop(self->nth_fd);

		if (ret) {
			/* It failed, so there must have been a reason */
			EXPECT_TRUE(injected) {
				TH_LOG("%s: %s", step->name, strerror(err));
			}
			if (!step->any_errno)
				EXPECT_EQ(ENOMEM, err) {
					TH_LOG("%s: nth %u: %s", step->name,
					       nth, strerror(err));
				}
			EXPECT_TRUE(step->failed(self)) {
				TH_LOG("%s: nth %u: failed, but did something",
				       step->name, nth);
			}
			/* Memory is back, so it works */
			ASSERT_DONE(step->call(self));
		}
		EXPECT_TRUE(step->worked(self)) {
			TH_LOG("%s: nth %u: reported success, did nothing",
			       step->name, nth);
		}
		ASSERT_EQ(0, step->undo(self));
		if (!injected)
			break;
	}
	ASSERT_LT(nth, MAX_NTH);
	TH_LOG("%s: %u failures", step->name, nth - 1);
	return nth - 1;
}

/* A call that neither fails nor has any reason to: it allocates nothing */
static void no_allocations(struct __test_metadata *_metadata,
			   fail_nth_test *self,
			   int (*prepare)(fail_nth_test *self),
			   int (*call)(fail_nth_test *self),
			   const char *name)
{
	bool injected;
	int ret, err;

	/* Once before, for what is allocated with the first use */
	ASSERT_EQ(0, prepare ? prepare(self) : 0);
	ASSERT_EQ(0, call(self));
	ASSERT_EQ(0, prepare ? prepare(self) : 0);
	inject_start(self->nth_fd, 1);
	ret = call(self);
	err = errno;
	injected = inject_stop(self->nth_fd);
	EXPECT_EQ(0, ret) {
		TH_LOG("%s: %s", name, strerror(err));
	}
	EXPECT_FALSE(injected) {
		TH_LOG("%s allocates memory", name);
	}
}

static unsigned int nr_domains(fail_nth_test *self)
{
	return mock_stats(self->observer.dev[2]).domains;
}

static unsigned int nr_bonds(fail_nth_test *self)
{
	return mock_stats(self->vmm.dev[0]).bonds +
	       mock_stats(self->vmm.dev[1]).bonds;
}

static int nothing_to_undo(fail_nth_test *self)
{
	return 0;
}

static bool nothing_bound(fail_nth_test *self)
{
	return !nr_bonds(self) && !nr_domains(self);
}

/* In a container scope both devices, otherwise the first */
static bool dma_works(fail_nth_test *self, __u32 pasid)
{
	int i, last = self->scope.device ? 0 : 1;

	for (i = 0; i <= last; i++) {
		__u64 want = fresh_value(), got = 0;

		guest_write(&self->vmm, self->page, want);
		if (mock_dma_read(self->vmm.dev[i], 0, pasid, VA_A, &got) !=
		    MOCK_DMA_OK || got != want)
			return false;
	}
	return true;
}

/* Container attach, from the first descriptor to the last */
static int call_open(fail_nth_test *self)
{
	int ret = vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1);
	int err = errno;

	if (ret)
		vmm_close_fds(&self->vmm);
	errno = err;
	return ret;
}

static bool open_worked(fail_nth_test *self)
{
	return !_test_cmd_bind(device_scope(&self->vmm, 0), &self->pt,
			       NO_PASID) &&
	       nr_domains(self) == 1;
}

static bool open_failed(fail_nth_test *self)
{
	return !nr_domains(self);
}

static int undo_open(fail_nth_test *self)
{
	vmm_close_fds(&self->vmm);
	return 0;
}

/* Another group in a container that is in use */
static int prepare_join(fail_nth_test *self)
{
	if (vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1))
		return -1;
	return _test_cmd_bind(container_scope(&self->vmm), &self->pt, NO_PASID);
}

static int call_join(fail_nth_test *self)
{
	int ret = vmm_add_device(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1);
	int err = errno;

	if (ret) {
		close_fd(&self->vmm.dev[1]);
		close_fd(&self->vmm.group[1]);
	}
	errno = err;
	return ret;
}

static bool join_worked(fail_nth_test *self)
{
	return nr_bonds(self) == 1 &&
	       !_test_cmd_bind(device_scope(&self->vmm, 1), &self->pt,
			       NO_PASID) &&
	       nr_domains(self) == 2;
}

static bool join_failed(fail_nth_test *self)
{
	return mock_stats(self->vmm.dev[0]).bonds == 1 && nr_domains(self) == 1;
}

TEST_F_TIMEOUT(fail_nth, attach, 120)
{
	const struct step first = {
		.name = "container attach",
		.call = call_open,
		.worked = open_worked,
		.failed = open_failed,
		.undo = undo_open,
		.any_errno = true,
	};
	const struct step second = {
		.name = "attach of a second group",
		.prepare = prepare_join,
		.call = call_join,
		.worked = join_worked,
		.failed = join_failed,
		.undo = undo_open,
		.any_errno = true,
	};

	/* Has no scope: two halves of the work */
	EXPECT_LT(0, sweep(_metadata, self, variant->device ? &second :
							      &first));
	EXPECT_EQ(0, nr_domains(self));
}

/* PASIDs */
static int call_pasid_alloc(fail_nth_test *self)
{
	self->pasid = 0;
	return _test_cmd_pasid_alloc(self->vmm.container, TEST_PASID,
				     TEST_PASID, &self->pasid);
}

static int call_pasid_free(fail_nth_test *self)
{
	return _test_cmd_pasid_free(self->vmm.container, TEST_PASID,
				    TEST_PASID);
}

/* Nobody but its owner can have something bound to it */
static bool pasid_owned(fail_nth_test *self)
{
	return self->pasid == TEST_PASID &&
	       !_test_cmd_bind(self->scope, &self->pt, TEST_PASID) &&
	       !_test_cmd_unbind(self->scope, TEST_PASID);
}

static bool pasid_not_owned(fail_nth_test *self)
{
	return call_pasid_free(self) == -1 && errno == ENOENT;
}

TEST_F(fail_nth, pasid)
{
	const struct step step = {
		.name = "PASID allocation",
		.call = call_pasid_alloc,
		.worked = pasid_owned,
		.failed = pasid_not_owned,
		.undo = call_pasid_free,
	};

	open_devices(_metadata, self, variant->device);
	EXPECT_LT(0, sweep(_metadata, self, &step));
	no_allocations(_metadata, self, call_pasid_alloc, call_pasid_free,
		       "PASID free");
}

/* Page tables */
static int call_bind(fail_nth_test *self)
{
	return _test_cmd_bind(self->scope, &self->pt, TEST_PASID);
}

static int call_bind_gpasid(fail_nth_test *self)
{
	return _test_cmd_bind_gpasid(self->scope, &self->pt, TEST_PASID,
				     TEST_GPASID);
}

/* A page request gets through to a fault file, whose close answers it */
static bool page_requests_work(fail_nth_test *self, __u32 pasid)
{
	int fault = fault_open(self->vmm.dev[0]);
	struct mock_page_response resp;
	struct iommu_fault record;
	bool told;

	told = !_test_cmd_page_request(self->vmm.dev[0], 0, pasid, 1, VA_A, 1,
				       IOMMU_FAULT_PERM_READ) &&
	       !_test_cmd_fault_read(fault, &record) &&
	       record.type == IOMMU_FAULT_PAGE_REQ;
	close_fd(&fault);
	return told && !_test_cmd_device_gets(self->vmm.dev[0], &resp) &&
	       resp.code == IOMMU_PAGE_RESP_INVALID;
}

static bool bind_worked(fail_nth_test *self)
{
	return dma_works(self, TEST_PASID) &&
	       page_requests_work(self, TEST_PASID);
}

static bool bind_failed(fail_nth_test *self)
{
	__u64 value;

	return nothing_bound(self) &&
	       mock_dma_read(self->vmm.dev[0], 0, TEST_PASID, VA_A, &value) ==
	       MOCK_DMA_BLOCKED &&
	       _test_cmd_unbind_gpasid(self->scope, TEST_GPASID) == -1 &&
	       errno == ENOENT;
}

static int call_unbind(fail_nth_test *self)
{
	return _test_cmd_unbind(self->scope, TEST_PASID);
}

static int call_bind_no_pasid(fail_nth_test *self)
{
	return _test_cmd_bind(self->scope, &self->pt, NO_PASID);
}

static bool bind_no_pasid_worked(fail_nth_test *self)
{
	return dma_works(self, NO_PASID) && page_requests_work(self, NO_PASID);
}

static bool bind_no_pasid_failed(fail_nth_test *self)
{
	__u64 value;

	/* Stage 2 alone */
	return nothing_bound(self) &&
	       mock_dma_read(self->vmm.dev[0], 0, NO_PASID, self->page,
			     &value) == MOCK_DMA_OK &&
	       mock_dma_read(self->vmm.dev[1], 0, NO_PASID, self->page,
			     &value) == MOCK_DMA_OK;
}

static int call_unbind_no_pasid(fail_nth_test *self)
{
	return _test_cmd_unbind(self->scope, NO_PASID);
}

TEST_F(fail_nth, bind)
{
	const struct step by_pasid = {
		.name = "bind",
		.call = call_bind,
		.worked = bind_worked,
		.failed = bind_failed,
		.undo = call_unbind,
	};
	const struct step by_gpasid = {
		.name = "bind with a guest PASID",
		.call = call_bind_gpasid,
		.worked = bind_worked,
		.failed = bind_failed,
		.undo = call_unbind,
	};
	const struct step without_pasid = {
		.name = "bind without PASID",
		.call = call_bind_no_pasid,
		.worked = bind_no_pasid_worked,
		.failed = bind_no_pasid_failed,
		.undo = call_unbind_no_pasid,
	};

	open_devices(_metadata, self, variant->device);
	ASSERT_DONE(call_pasid_alloc(self));
	EXPECT_LT(0, sweep(_metadata, self, &by_pasid));
	EXPECT_LT(0, sweep(_metadata, self, &by_gpasid));
	EXPECT_LT(0, sweep(_metadata, self, &without_pasid));
	EXPECT_EQ(0, nr_domains(self));
}

/* The guest is not told that an unbind fails, so it does not */
static int prepare_unbind(fail_nth_test *self)
{
	return call_bind_gpasid(self);
}

static bool never(fail_nth_test *self)
{
	return false;
}

TEST_F(fail_nth, unbind)
{
	const struct step by_pasid = {
		.name = "unbind",
		.prepare = prepare_unbind,
		.call = call_unbind,
		.worked = nothing_bound,
		.failed = never,
		.undo = nothing_to_undo,
	};
	const struct step without_pasid = {
		.name = "unbind without PASID",
		.prepare = call_bind_no_pasid,
		.call = call_unbind_no_pasid,
		.worked = bind_no_pasid_failed,
		.failed = never,
		.undo = nothing_to_undo,
	};

	open_devices(_metadata, self, variant->device);
	ASSERT_DONE(call_pasid_alloc(self));
	sweep(_metadata, self, &by_pasid);
	sweep(_metadata, self, &without_pasid);
	EXPECT_EQ(0, nr_domains(self));
}

/* PASID tables */
static int call_bind_table(fail_nth_test *self)
{
	return _test_cmd_bind_table(self->scope,
				    table_config(IOMMU_PASID_CONFIG_ABORT, 0,
						 0));
}

static int call_replace_table(fail_nth_test *self)
{
	return _test_cmd_bind_table(self->scope,
				    table_config(IOMMU_PASID_CONFIG_TRANSLATE,
						 self->cds, 4));
}

static int call_unbind_table(fail_nth_test *self)
{
	return _test_cmd_unbind_table(self->scope);
}

static bool is_aborted(fail_nth_test *self)
{
	__u64 value;

	return nr_bonds(self) == (self->scope.device ? 1 : 2) &&
	       mock_dma_read(self->vmm.dev[0], 0, NO_PASID, self->page,
			     &value) == MOCK_DMA_BLOCKED;
}

static bool is_translated(fail_nth_test *self)
{
	__u64 value;

	/* There is no descriptor in the table */
	return nr_bonds(self) == (self->scope.device ? 1 : 2) &&
	       mock_dma_read(self->vmm.dev[0], 0, NO_PASID, VA_A, &value) ==
	       MOCK_DMA_ABORT_S1;
}

TEST_F(fail_nth, pasid_table)
{
	const struct step bind = {
		.name = "PASID table bind",
		.call = call_bind_table,
		.worked = is_aborted,
		.failed = bind_no_pasid_failed,
		.undo = call_unbind_table,
	};
	const struct step replace = {
		.name = "PASID table replacement",
		.prepare = call_bind_table,
		.call = call_replace_table,
		.worked = is_translated,
		.failed = is_aborted,
		.undo = call_unbind_table,
	};
	const struct step unbind = {
		.name = "PASID table unbind",
		.prepare = call_bind_table,
		.call = call_unbind_table,
		.worked = bind_no_pasid_failed,
		.failed = never,
		.undo = nothing_to_undo,
	};

	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), MOCK_STYLE_PASID_TABLE));
	open_devices(_metadata, self, variant->device);
	EXPECT_LT(0, sweep(_metadata, self, &bind));
	sweep(_metadata, self, &replace);
	sweep(_metadata, self, &unbind);
	EXPECT_EQ(0, nr_domains(self));
}

/* The hot path: no allocation at all, for none of the caches that there are */
static struct iommu_cache_invalidate_info all_of_domain(void)
{
	return inv_domain(IOTLB | PASID_CACHE);
}

static struct iommu_cache_invalidate_info all_of_pasid(void)
{
	return inv_pasid(IOTLB | DEVTLB | PASID_CACHE, TEST_PASID);
}

static struct iommu_cache_invalidate_info all_of_address(void)
{
	return inv_addr(IOTLB | DEVTLB, TEST_PASID, VA_A, SZ_4K, 1);
}

static int call_inv_domain(fail_nth_test *self)
{
	return _test_cmd_inv(self->scope, all_of_domain());
}

static int call_inv_pasid(fail_nth_test *self)
{
	return _test_cmd_inv(self->scope, all_of_pasid());
}

static int call_inv_addr(fail_nth_test *self)
{
	return _test_cmd_inv(self->scope, all_of_address());
}

static int call_inv_batch(fail_nth_test *self)
{
	struct iommu_cache_invalidate_info entries[] = {
		all_of_domain(), all_of_pasid(), all_of_address(),
	};
	__u32 done = 0;
	int ret = _test_cmd_inv_batch(self->scope, entries, sizeof(*entries),
				      3, &done);

	return ret ?: done == 3 ? 0 : -1;
}

static void inv_no_allocations(struct __test_metadata *_metadata,
			       fail_nth_test *self)
{
	no_allocations(_metadata, self, NULL, call_inv_domain,
		       "invalidation of a domain");
	no_allocations(_metadata, self, NULL, call_inv_pasid,
		       "invalidation of a PASID");
	no_allocations(_metadata, self, NULL, call_inv_addr,
		       "invalidation of addresses");
	no_allocations(_metadata, self, NULL, call_inv_batch,
		       "invalidation batch");
}

TEST_F(fail_nth, invalidate)
{
	open_devices(_metadata, self, variant->device);
	ASSERT_DONE(call_pasid_alloc(self));
	ASSERT_DONE(call_bind(self));
	inv_no_allocations(_metadata, self);
}

TEST_F(fail_nth, invalidate_pasid_table)
{
	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), MOCK_STYLE_PASID_TABLE));
	open_devices(_metadata, self, variant->device);
	ASSERT_DONE(call_replace_table(self));
	inv_no_allocations(_metadata, self);
}

/* Faults */
static int call_fault_open(fail_nth_test *self)
{
	self->fault = fault_open(self->vmm.dev[0]);
	return self->fault < 0 ? -1 : 0;
}

static bool fault_open_worked(fail_nth_test *self)
{
	return fcntl(self->fault, F_GETFD) == FD_CLOEXEC;
}

static bool fault_open_failed(fail_nth_test *self)
{
	struct mock_page_response resp;

	/* Nobody listens */
	return !_test_cmd_page_request(self->vmm.dev[0], 0, TEST_PASID, 1, VA_A,
				       1, IOMMU_FAULT_PERM_READ) &&
	       !_test_cmd_device_gets(self->vmm.dev[0], &resp) &&
	       resp.code == IOMMU_PAGE_RESP_INVALID;
}

static int undo_fault_open(fail_nth_test *self)
{
	close_fd(&self->fault);
	return 0;
}

/* What the IOMMU core and the device allocate for a page request on its way */
static int call_page_request(fail_nth_test *self)
{
	return _test_cmd_page_request(self->vmm.dev[0], 0, TEST_PASID, 1, VA_A,
				      3, IOMMU_FAULT_PERM_READ);
}

/* Either the guest gets it, or the device gets an answer that is not "success" */
static bool page_request_worked(fail_nth_test *self)
{
	struct mock_page_response resp;
	struct iommu_fault record;
	__u32 code = IOMMU_PAGE_RESP_SUCCESS;

	if (!(fd_wait(self->fault, POLLIN, 100) & POLLIN))
		return !_test_cmd_device_gets(self->vmm.dev[0], &resp) &&
		       resp.code != IOMMU_PAGE_RESP_SUCCESS;
	do {
		if (_test_cmd_fault_read(self->fault, &record) ||
		    record.type != IOMMU_FAULT_PAGE_REQ)
			return false;
	} while (!(record.prm.flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE));
	return !_test_cmd_respond(self->fault, 0, TEST_PASID, 1, code) &&
	       !_test_cmd_device_gets(self->vmm.dev[0], &resp) &&
	       resp.code == code;
}

static bool page_request_failed(fail_nth_test *self)
{
	return !fd_wait(self->fault, POLLIN, 50);
}

static int prepare_respond(fail_nth_test *self)
{
	struct iommu_fault record;
	int i;

	if (call_page_request(self))
		return -1;
	for (i = 0; i < 3; i++)
		if (_test_cmd_fault_read(self->fault, &record))
			return -1;
	return 0;
}

static int call_respond(fail_nth_test *self)
{
	return _test_cmd_respond(self->fault, 0, TEST_PASID, 1,
				 IOMMU_PAGE_RESP_SUCCESS);
}

TEST_F(fail_nth, fault)
{
	const struct step fd = {
		.name = "fault file descriptor",
		.call = call_fault_open,
		.worked = fault_open_worked,
		.failed = fault_open_failed,
		.undo = undo_fault_open,
	};
	const struct step page_request = {
		.name = "page request",
		.call = call_page_request,
		.worked = page_request_worked,
		.failed = page_request_failed,
		.undo = nothing_to_undo,
	};

	open_devices(_metadata, self, variant->device);
	ASSERT_DONE(call_pasid_alloc(self));
	ASSERT_DONE(call_bind(self));
	EXPECT_LT(0, sweep(_metadata, self, &fd));
	ASSERT_DONE(call_fault_open(self));
	EXPECT_LT(0, sweep(_metadata, self, &page_request));
	test_device_gets_nothing(self->vmm.dev[0]);
	no_allocations(_metadata, self, prepare_respond, call_respond,
		       "page response");
}

/* Queries */
static int call_get_info(fail_nth_test *self)
{
	memset(&self->info, 0, sizeof(self->info));
	self->info.argsz = sizeof(self->info);
	if (self->scope.device)
		return _test_cmd_get_device_info(self->vmm.dev[0], &self->info,
						 sizeof(self->info));
	return _test_cmd_get_nesting_cap(self->vmm.container, &self->info);
}

static bool is_told(fail_nth_test *self)
{
	return self->info.format == IOMMU_PASID_FORMAT_INTEL_VTD &&
	       self->info.nr_payloads == IOMMU_PAYLOAD_NR;
}

static bool is_not_told(fail_nth_test *self)
{
	return !self->info.format && !self->info.nr_payloads;
}

TEST_F(fail_nth, get_info)
{
	const struct step step = {
		.name = "query",
		.call = call_get_info,
		.worked = is_told,
		.failed = is_not_told,
		.undo = nothing_to_undo,
	};

	open_devices(_metadata, self, variant->device);
	/* That of a device has no list of capabilities to make */
	if (variant->device)
		no_allocations(_metadata, self, NULL, call_get_info, "query");
	else
		EXPECT_LT(0, sweep(_metadata, self, &step));
	EXPECT_TRUE(is_told(self));
}

TEST_HARNESS_MAIN
