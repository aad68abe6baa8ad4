// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: ends. Descriptors closed in any order, processes killed,
 * drivers unbound, containers taken apart, each in the middle of something.
 *
 * After each of them the hardware has to be as if nothing had been: no nested
 * domain is left, and everything works anew.
 */
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/userfaultfd.h>

#include "../kselftest_harness.h"
#include "iommu_uapi_utils.h"

#define VA_A		0x7f1234567000ULL
#define VA_UNMAPPED	0x100200300000ULL

#define PASID_CONTAINER	70
#define PASID_DEVICE	71

#define INVALID		IOMMU_PAGE_RESP_INVALID
#define PERM_R		IOMMU_FAULT_PERM_READ

#define DRIVER		"/sys/bus/platform/drivers/vfio-iommu-uapi-mock/"

/* Also if a test did not get that far */
static void driver_restore(void)
{
	if (mock_present() && access(DRIVER "iommu-uapi-mock.0", F_OK))
		param_write(DRIVER "bind", "iommu-uapi-mock.0");
}

static __attribute__((constructor)) void driver_save(void)
{
	atexit(driver_restore);
}

/* A guest with everything: bound by both scopes, with and without PASID */
struct guest {
	struct vmm vmm;
	struct guest_pt pt;
	__u64 page;
	int fault;
};

static void guest_init(struct guest *guest)
{
	memset(guest, 0, sizeof(*guest));
	guest->fault = -1;
	vmm_init(&guest->vmm);
	guest_pt_init(&guest->pt, &guest->vmm, GUEST_PT_VTD, 4);
	guest->page = guest_page(&guest->vmm);
	guest_map(&guest->pt, VA_A, guest->page);
}

static int guest_start(struct guest *guest)
{
	struct vmm *vmm = &guest->vmm;
	__u32 pasid;

	if (vmm_open(vmm, VFIO_TYPE1_NESTING_IOMMU, 1))
		return -1;
	guest->fault = fault_open(vmm->dev[0]);
	if (guest->fault < 0)
		return -1;
	if (_test_cmd_pasid_alloc(vmm->container, PASID_CONTAINER,
				  PASID_CONTAINER, &pasid) ||
	    _test_cmd_pasid_alloc(vmm->container, PASID_DEVICE, PASID_DEVICE,
				  &pasid))
		return -1;
	if (_test_cmd_bind(container_scope(vmm), &guest->pt, PASID_CONTAINER) ||
	    _test_cmd_bind(device_scope(vmm, 0), &guest->pt, PASID_DEVICE) ||
	    _test_cmd_bind(device_scope(vmm, 0), &guest->pt, NO_PASID))
		return -1;
	return 0;
}

static void guest_stop(struct guest *guest)
{
	close_fd(&guest->fault);
	vmm_close(&guest->vmm);
}

FIXTURE(life)
{
	struct guest guest;
};

FIXTURE_SETUP(life)
{
	if (!mock_present())
		SKIP(return, "no mock hardware");
	ASSERT_EQ(0, param_set(PARAM_MOCK("lack"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("grow"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), MOCK_STYLE_PGTBL));
	guest_init(&self->guest);
}

FIXTURE_TEARDOWN(life)
{
	guest_stop(&self->guest);
	driver_restore();
	params_restore();
}

/* Nothing is left of what was before: a new guest has it all for itself */
static void check_clean(struct __test_metadata *_metadata)
{
	struct guest guest;
	__u64 want = fresh_value(), got = 0;
	struct mock_stats stats;

	guest_init(&guest);
	ASSERT_DONE(vmm_open(&guest.vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	stats = mock_stats(guest.vmm.dev[0]);
	EXPECT_EQ(0, stats.domains);
	EXPECT_EQ(0, stats.bonds);
	EXPECT_EQ(0, stats.iotlb_entries);
	EXPECT_EQ(0, stats.devtlb_entries);
	vmm_close_fds(&guest.vmm);

	ASSERT_DONE(guest_start(&guest));
	guest_write(&guest.vmm, guest.page, want);
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(guest.vmm.dev[0], 0,
					     PASID_CONTAINER, VA_A, &got));
	EXPECT_EQ(want, got);
	test_fault_none(guest.fault);
	test_device_gets_nothing(guest.vmm.dev[0]);
	guest_stop(&guest);
}

/* ---------------------------------------------------------------------
 * Descriptors
 */
enum { DEVICE, FAULT, GROUP, CONTAINER, NR_FDS };

static const char *const fd_names[NR_FDS] = {
	[DEVICE] = "device",
	[FAULT] = "fault",
	[GROUP] = "group",
	[CONTAINER] = "container",
};

/* Three page requests: read, read in part, and not read */
#define NR_PENDING	3

static void make_pending(struct __test_metadata *_metadata, struct guest *guest)
{
	int dev = guest->vmm.dev[0];
	struct iommu_fault record;

	test_cmd_page_request(dev, 0, PASID_CONTAINER, 1, VA_UNMAPPED, 1,
			      PERM_R);
	test_cmd_page_request(dev, 0, PASID_DEVICE, 2, VA_UNMAPPED, 2, PERM_R);
	test_cmd_page_request(dev, 0, NO_PASID, 3, VA_UNMAPPED, 1, PERM_R);
	test_cmd_fault_read(guest->fault, &record);
	test_cmd_fault_read(guest->fault, &record);
}

static void check_answered(struct __test_metadata *_metadata, int dev)
{
	struct mock_page_response resp;
	int i;

	for (i = 0; i < NR_PENDING; i++) {
		ASSERT_DONE(_test_cmd_device_gets(dev, &resp));
		EXPECT_EQ(INVALID, resp.code);
	}
	test_device_gets_nothing(dev);
}

static void close_one(struct __test_metadata *_metadata, struct guest *guest,
		      int which)
{
	struct iommu_page_response resp = page_response(0, PASID_CONTAINER, 1, 0);
	struct iommu_fault record;
	__u64 value;
	int dev;

	switch (which) {
	case DEVICE:
		close_fd(&guest->vmm.dev[0]);
		break;
	case FAULT:
		close_fd(&guest->fault);
		break;
	case GROUP:
		close_fd(&guest->vmm.group[0]);
		break;
	case CONTAINER:
		close_fd(&guest->vmm.container);
		break;
	}

	dev = guest->vmm.dev[0];
	if (dev >= 0) {
		/* An open device keeps what it lives on, whatever is closed */
		EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(dev, 0, PASID_CONTAINER,
						     VA_A, &value));
		EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(dev, MOCK_DMA_ATS,
						     PASID_DEVICE, VA_A,
						     &value));
		EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(dev, 0, NO_PASID, VA_A,
						     &value));
		EXPECT_EQ(3, mock_stats(dev).bonds);
		if (which == FAULT)
			check_answered(_metadata, dev);
	} else if (guest->fault >= 0) {
		/* The end of the device is the end of its faults */
		EXPECT_EQ(POLLHUP, fd_wait(guest->fault, POLLIN, 0) & POLLHUP);
		EXPECT_EQ(0, read(guest->fault, &record, sizeof(record)));
		EXPECT_ERRNO(ENODEV, write(guest->fault, &resp, sizeof(resp)));
	}
}

static void close_in_order(struct __test_metadata *_metadata, const int *order)
{
	struct guest guest;
	int i, old_fault;

	guest_init(&guest);
	ASSERT_DONE(guest_start(&guest));
	make_pending(_metadata, &guest);
	for (i = 0; i < NR_FDS; i++)
		close_one(_metadata, &guest, order[i]);
	guest_stop(&guest);
	check_clean(_metadata);

	/* Once more, and the fault file is never closed */
	guest_init(&guest);
	ASSERT_DONE(guest_start(&guest));
	make_pending(_metadata, &guest);
	old_fault = guest.fault;
	for (i = 0; i < NR_FDS; i++)
		if (order[i] != FAULT)
			close_one(_metadata, &guest, order[i]);
	check_clean(_metadata);
	EXPECT_EQ(POLLHUP, fd_wait(old_fault, POLLIN, 0) & POLLHUP);
	guest_stop(&guest);
}

/* Put the rest of @order, from @first on, in all orders; returns how many */
static int try_orders(struct __test_metadata *_metadata, int *order, int first)
{
	int i, tried = 0;

	if (first == NR_FDS) {
		close_in_order(_metadata, order);
		for (i = 0; _metadata->exit_code && i < NR_FDS; i++)
			TH_LOG("order: %s", fd_names[order[i]]);
		return 1;
	}
	for (i = first; i < NR_FDS && !_metadata->exit_code; i++) {
		int which = order[i];

		order[i] = order[first];
		order[first] = which;
		tried += try_orders(_metadata, order, first + 1);
		order[first] = order[i];
		order[i] = which;
	}
	return tried;
}

TEST_F_TIMEOUT(life, closing_orders, 120)
{
	int order[NR_FDS] = { DEVICE, FAULT, GROUP, CONTAINER };

	EXPECT_EQ(24, try_orders(_metadata, order, 0));
}

/* ---------------------------------------------------------------------
 * Processes
 */
enum activity {
	ACT_DMA,
	ACT_PAGE_REQUEST,
	ACT_FAULT_READ,
	ACT_BIND,
	ACT_INVALIDATE,
	ACT_BATCH,
	ACT_NOTHING,
};

FIXTURE(killed)
{
	pid_t child;
};

FIXTURE_VARIANT(killed)
{
	enum activity activity;
	/* It ends by itself, without closing anything */
	bool exits;
};

FIXTURE_VARIANT_ADD(killed, in_mid_dma)
{
	.activity = ACT_DMA,
};

FIXTURE_VARIANT_ADD(killed, waiting_for_page)
{
	.activity = ACT_PAGE_REQUEST,
};

FIXTURE_VARIANT_ADD(killed, reading_faults)
{
	.activity = ACT_FAULT_READ,
};

FIXTURE_VARIANT_ADD(killed, binding)
{
	.activity = ACT_BIND,
};

FIXTURE_VARIANT_ADD(killed, invalidating)
{
	.activity = ACT_INVALIDATE,
};

FIXTURE_VARIANT_ADD(killed, in_mid_batch)
{
	.activity = ACT_BATCH,
};

FIXTURE_VARIANT_ADD(killed, exits)
{
	.activity = ACT_NOTHING,
	.exits = true,
};

FIXTURE_VARIANT_ADD(killed, exits_in_mid_dma)
{
	.activity = ACT_DMA,
	.exits = true,
};

FIXTURE_VARIANT_ADD(killed, exits_waiting_for_page)
{
	.activity = ACT_PAGE_REQUEST,
	.exits = true,
};

FIXTURE_SETUP(killed)
{
	if (!mock_present())
		SKIP(return, "no mock hardware");
	ASSERT_EQ(0, param_set(PARAM_MOCK("lack"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("grow"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), MOCK_STYLE_PGTBL));
}

FIXTURE_TEARDOWN(killed)
{
	params_restore();
}

static struct guest victim;
static enum activity victim_activity;

/* A batch that nobody has the time to wait for: the same entries, many times */
#define ENTRY_SIZE	offsetof(struct iommu_cache_invalidate_info, granu)
#define BATCH_SIZE	(256 * SZ_2M)

static __u8 *long_batch(void)
{
	struct iommu_cache_invalidate_info entry =
		inv_domain(IOMMU_CACHE_INV_TYPE_IOTLB);
	__u8 *once, *all;
	__u64 i;

	once = mmap(NULL, SZ_2M, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	all = mmap(NULL, BATCH_SIZE, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (once == MAP_FAILED || all == MAP_FAILED)
		return NULL;
	for (i = 0; i < SZ_2M; i += ENTRY_SIZE)
		memcpy(once + i, &entry, ENTRY_SIZE);
	/* An old size of zero makes another mapping of the same memory */
	for (i = 0; i < BATCH_SIZE; i += SZ_2M)
		if (mremap(once, 0, SZ_2M, MREMAP_MAYMOVE | MREMAP_FIXED,
			   all + i) == MAP_FAILED)
			return NULL;
	return all;
}

static __u8 *victim_batch;

static void victim_act(void)
{
	struct scope scope = container_scope(&victim.vmm);
	int dev = victim.vmm.dev[0];
	static __u8 data[8 * SZ_4K];
	struct iommu_fault record;
	__u32 done;

	switch (victim_activity) {
	case ACT_DMA:
		mock_dma(dev, MOCK_DMA_WRITE, PASID_DEVICE, VA_A, data, SZ_4K);
		mock_dma(dev, MOCK_DMA_ATS, PASID_CONTAINER, VA_A, data, SZ_4K);
		return;
	case ACT_PAGE_REQUEST:
		mock_dma(dev, MOCK_DMA_PRI, PASID_DEVICE, VA_UNMAPPED, data,
			 sizeof(data));
		return;
	case ACT_FAULT_READ:
		if (read(victim.fault, &record, sizeof(record)) < 0)
			return;
		return;
	case ACT_BIND:
		_test_cmd_unbind(scope, PASID_CONTAINER);
		_test_cmd_bind(scope, &victim.pt, PASID_CONTAINER);
		return;
	case ACT_INVALIDATE:
		_test_cmd_inv(scope, inv_domain(IOMMU_CACHE_INV_TYPE_IOTLB));
		return;
	case ACT_BATCH:
		_test_cmd_inv_batch(scope, victim_batch, ENTRY_SIZE,
				    BATCH_SIZE / ENTRY_SIZE, &done);
		return;
	case ACT_NOTHING:
		sleep_ms(10);
		return;
	}
}

static void *victim_thread(void *arg)
{
	for (;;)
		victim_act();
	return NULL;
}

static void victim_run(enum activity activity, bool exits, int ready)
{
	pthread_t threads[2];

	guest_init(&victim);
	victim_activity = activity;
	if (activity == ACT_BATCH)
		victim_batch = long_batch();
	if (guest_start(&victim) || (activity == ACT_BATCH && !victim_batch))
		_exit(1);
	if (pthread_create(&threads[0], NULL, victim_thread, NULL) ||
	    pthread_create(&threads[1], NULL, victim_thread, NULL))
		_exit(1);
	sleep_ms(50);
	if (write(ready, "!", 1) != 1)
		_exit(1);
	if (exits)
		_exit(0);
	pause();
	_exit(1);
}

TEST_F(killed, leaves_nothing)
{
	int round, status, pipefd[2];
	char c;

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, pipe(pipefd));
		self->child = fork();
		ASSERT_LE(0, self->child);
		if (!self->child) {
			/* Not to survive the test */
			alarm(25);
			victim_run(variant->activity, variant->exits,
				   pipefd[1]);
		}
		close(pipefd[1]);
		ASSERT_EQ(1, read(pipefd[0], &c, 1));
		close(pipefd[0]);
		sleep_ms(7 * round);
		if (!variant->exits)
			kill(self->child, SIGKILL);
		ASSERT_EQ(self->child, waitpid(self->child, &status, 0));
		EXPECT_EQ(variant->exits, WIFEXITED(status));
		EXPECT_EQ(variant->exits ? 0 : SIGKILL,
			  variant->exits ? WEXITSTATUS(status) :
					   WTERMSIG(status));
		check_clean(_metadata);
	}
}

/* ---------------------------------------------------------------------
 * Drivers
 */
struct unbinder {
	pthread_t thread;
	volatile int ret;
	volatile bool done;
};

static void *unbinder_fn(void *arg)
{
	struct unbinder *unbinder = arg;

	unbinder->ret = param_write(DRIVER "unbind", "iommu-uapi-mock.0");
	unbinder->done = true;
	return NULL;
}

TEST_F(life, driver_unbound)
{
	struct iommu_page_response resp = page_response(0, PASID_CONTAINER, 1, 0);
	struct guest *guest = &self->guest;
	struct unbinder unbinder = {};
	struct iommu_fault record;
	__u64 value;
	int i;

	ASSERT_DONE(guest_start(guest));
	make_pending(_metadata, guest);
	ASSERT_EQ(0, pthread_create(&unbinder.thread, NULL, unbinder_fn,
				    &unbinder));
	/* It waits for those who have the device open, not for the fault file */
	sleep_ms(200);
	EXPECT_FALSE(unbinder.done);
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(guest->vmm.dev[0], 0,
					     PASID_DEVICE, VA_A, &value));
	close_fd(&guest->vmm.dev[0]);
	for (i = 0; i < WAIT_MS / 10 && !unbinder.done; i++)
		sleep_ms(10);
	ASSERT_TRUE(unbinder.done);
	ASSERT_EQ(0, pthread_join(unbinder.thread, NULL));
	EXPECT_EQ(0, unbinder.ret);

	EXPECT_EQ(POLLHUP, fd_wait(guest->fault, POLLIN, 0) & POLLHUP);
	EXPECT_EQ(0, read(guest->fault, &record, sizeof(record)));
	EXPECT_ERRNO(ENODEV, write(guest->fault, &resp, sizeof(resp)));
	/* The group has left the container, which knows nothing any more */
	test_err_bind(EINVAL, container_scope(&guest->vmm), &guest->pt,
		      PASID_CONTAINER);
	test_err_inv(EINVAL, container_scope(&guest->vmm),
		     inv_domain(IOMMU_CACHE_INV_TYPE_IOTLB));

	/* And back, with all the old descriptors still there */
	ASSERT_EQ(0, param_write(DRIVER "bind", "iommu-uapi-mock.0"));
	EXPECT_EQ(0, read(guest->fault, &record, sizeof(record)));
	vmm_close_fds(&guest->vmm);
	check_clean(_metadata);
	EXPECT_EQ(0, read(guest->fault, &record, sizeof(record)));
}

/*
 * Two devices that share a group, of which the second comes when something is
 * bound to the first, and the first goes: the group lives on because of the
 * second, but nothing that the first has bound does.
 */
#define PLUGGED		PARAM_MOCK("plugged")
#define ALL_PLUGGED	((1 << MOCK_NR_DEVICES) - 1)

FIXTURE(neighbour)
{
	struct vmm vmm;
	struct guest_pt pt;
};

FIXTURE_SETUP(neighbour)
{
	if (!mock_present())
		SKIP(return, "no mock hardware");
	ASSERT_EQ(0, param_set(PARAM_MOCK("lack"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("grow"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), MOCK_STYLE_PGTBL));
	ASSERT_EQ(0, param_set(PLUGGED, ALL_PLUGGED & ~(1 << 4)));
	ASSERT_EQ(0, vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1 << 3));
	guest_pt_init(&self->pt, &self->vmm, GUEST_PT_VTD, 4);
}

FIXTURE_TEARDOWN(neighbour)
{
	/* Should a test end early: nothing else can be closed before */
	_test_cmd_inject(self->vmm.dev[0], 0, MOCK_INJECT_BIND_HELD, 0);
	vmm_close(&self->vmm);
	EXPECT_EQ(0, param_set(PLUGGED, ALL_PLUGGED));
	params_restore();
}

TEST_F(neighbour, first_device_goes)
{
	struct scope container = container_scope(&self->vmm);
	__u64 page = guest_page(&self->vmm), value = fresh_value();
	__u32 pasid;

	guest_map(&self->pt, VA_A, page);
	guest_write(&self->vmm, page, value);
	ASSERT_DONE(_test_cmd_pasid_alloc(self->vmm.container, 1, 100, &pasid));
	test_cmd_bind(container, &self->pt, pasid);
	test_cmd_bind(container, &self->pt, NO_PASID);

	/* What is bound stays, and is the first one's */
	ASSERT_EQ(0, param_set(PLUGGED, ALL_PLUGGED));
	self->vmm.dev[4] = mock_open_device(self->vmm.group[3], 4);
	ASSERT_LE(0, self->vmm.dev[4]);
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(self->vmm.dev[3], 0, pasid, VA_A,
					     &value));
	EXPECT_EQ(MOCK_DMA_BLOCKED, mock_dma_read(self->vmm.dev[4], 0, pasid,
						  VA_A, &value));
	EXPECT_EQ(2, mock_stats(self->vmm.dev[4]).domains);

	close_fd(&self->vmm.dev[3]);
	ASSERT_EQ(0, param_set(PLUGGED, ALL_PLUGGED & ~(1 << 3)));
	EXPECT_EQ(0, mock_stats(self->vmm.dev[4]).domains);
	test_cmd_inv(container, inv_domain(IOMMU_CACHE_INV_TYPE_IOTLB));
	test_err_unbind(ENOENT, container, pasid);
	test_err_unbind(ENOENT, container, NO_PASID);
	/* What is to be for all cannot be for the second one */
	test_err_bind(ENODEV, container, &self->pt, pasid);
	/* The second one has stage 2, as a member of the group */
	EXPECT_EQ(MOCK_DMA_ABORT_S2, mock_dma_read(self->vmm.dev[4], 0, NO_PASID,
						   VA_A, &value));
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(self->vmm.dev[4], 0, NO_PASID, page,
					     &value));

	/* And begins anew in a container of its own */
	vmm_close_fds(&self->vmm);
	ASSERT_EQ(0, vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1 << 4));
	test_cmd_bind(container_scope(&self->vmm), &self->pt, NO_PASID);
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(self->vmm.dev[4], 0, NO_PASID, VA_A,
					     &value));
}

/*
 * What the first device's requests without PASID are translated by, the second
 * one's are, too: nothing is invalidated as long as that one may have it cached.
 */
TEST_F(neighbour, invalidation)
{
	struct iommu_cache_invalidate_info inv[2];
	struct scope scope[2];
	__u64 page[2], value, first = fresh_value(), second = fresh_value();
	__u32 pasid;
	int i, j;

	for (i = 0; i < 2; i++)
		page[i] = guest_page(&self->vmm);
	guest_map(&self->pt, VA_A, page[0]);
	guest_write(&self->vmm, page[0], first);
	guest_write(&self->vmm, page[1], second);
	scope[0] = container_scope(&self->vmm);
	scope[1] = device_scope(&self->vmm, 3);
	ASSERT_DONE(_test_cmd_pasid_alloc(self->vmm.container, 1, 100, &pasid));
	test_cmd_bind(scope[0], &self->pt, pasid);
	test_cmd_bind(scope[0], &self->pt, NO_PASID);
	inv[0] = inv_domain(IOMMU_CACHE_INV_TYPE_IOTLB);
	inv[1] = inv_addr(IOMMU_CACHE_INV_TYPE_IOTLB, NO_PASID, VA_A, SZ_4K, 1);

	ASSERT_EQ(0, param_set(PLUGGED, ALL_PLUGGED));
	self->vmm.dev[4] = mock_open_device(self->vmm.group[3], 4);
	ASSERT_LE(0, self->vmm.dev[4]);
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(self->vmm.dev[4], 0, NO_PASID, VA_A,
					     &value));
	EXPECT_EQ(first, value);
	guest_map(&self->pt, VA_A, page[1]);
	for (i = 0; i < 2; i++) {
		for (j = 0; j < 2; j++)
			test_err_inv(EIO, scope[i], inv[j]);
		/* PASIDs are the first one's alone */
		test_cmd_inv(scope[i], inv_addr(IOMMU_CACHE_INV_TYPE_IOTLB, pasid,
						VA_A, SZ_4K, 1));
	}
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(self->vmm.dev[4], 0, NO_PASID, VA_A,
					     &value));
	EXPECT_EQ(first, value);

	close_fd(&self->vmm.dev[4]);
	ASSERT_EQ(0, param_set(PLUGGED, ALL_PLUGGED & ~(1 << 4)));
	for (i = 0; i < 2; i++)
		for (j = 0; j < 2; j++)
			test_cmd_inv(scope[i], inv[j]);
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(self->vmm.dev[3], 0, NO_PASID, VA_A,
					     &value));
	EXPECT_EQ(second, value);
}

/* It is a neighbour before the bind is done: there is none then. */
TEST_F(neighbour, joins_beside_bind)
{
	struct iommu_gpasid_bind_data data;
	struct call_thread bind;
	__u64 value;
	__u32 pasid;

	guest_map(&self->pt, VA_A, guest_page(&self->vmm));
	ASSERT_DONE(_test_cmd_pasid_alloc(self->vmm.container, 1, 100, &pasid));
	data = bind_data(&self->pt, pasid);
	ASSERT_DONE(_test_cmd_inject(self->vmm.dev[3], 0, MOCK_INJECT_BIND_HELD,
				     1));
	ASSERT_EQ(0, call_start(&bind, device_scope(&self->vmm, 3),
				OP_BIND_PGTBL, &data, sizeof(data)));
	EXPECT_TRUE(bind_is_held(self->vmm.dev[3]));
	EXPECT_EQ(0, param_set(PLUGGED, ALL_PLUGGED));
	EXPECT_EQ(0, _test_cmd_inject(self->vmm.dev[3], 0, MOCK_INJECT_BIND_HELD,
				      0));
	EXPECT_EQ(EPERM, call_end(&bind));
	test_err_unbind(ENOENT, container_scope(&self->vmm), pasid);
	EXPECT_EQ(MOCK_DMA_BLOCKED, mock_dma_read(self->vmm.dev[3], 0, pasid,
						  VA_A, &value));
}

static int first_device_goes(void *arg)
{
	return param_set(PLUGGED, ALL_PLUGGED & ~(1 << 3));
}

/* It waits for its own container, and makes no other one wait. */
TEST_F(neighbour, goes_beside_bind)
{
	struct iommu_gpasid_bind_data data;
	struct beside goes, others;
	struct call_thread bind;
	__u64 value;
	__u32 pasid;

	guest_map(&self->pt, VA_A, guest_page(&self->vmm));
	ASSERT_DONE(vmm_add_device(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 0));
	ASSERT_DONE(_test_cmd_pasid_alloc(self->vmm.container, 1, 100, &pasid));
	ASSERT_EQ(0, param_set(PLUGGED, ALL_PLUGGED));
	self->vmm.dev[4] = mock_open_device(self->vmm.group[3], 4);
	ASSERT_LE(0, self->vmm.dev[4]);
	close_fd(&self->vmm.dev[3]);

	data = bind_data(&self->pt, pasid);
	ASSERT_DONE(_test_cmd_inject(self->vmm.dev[0], 0, MOCK_INJECT_BIND_HELD,
				     1));
	ASSERT_EQ(0, call_start(&bind, device_scope(&self->vmm, 0),
				OP_BIND_PGTBL, &data, sizeof(data)));
	EXPECT_TRUE(bind_is_held(self->vmm.dev[0]));
	ASSERT_EQ(0, beside_start(&goes, first_device_goes, NULL));
	EXPECT_FALSE(beside_is_done(&goes, 200));
	ASSERT_EQ(0, beside_start(&others, container_comes_and_goes, NULL));
	EXPECT_TRUE(beside_is_done(&others, WAIT_MS));
	EXPECT_FALSE(beside_is_done(&goes, 0));

	EXPECT_EQ(0, _test_cmd_inject(self->vmm.dev[0], 0, MOCK_INJECT_BIND_HELD,
				      0));
	EXPECT_EQ(0, call_end(&bind));
	EXPECT_EQ(0, beside_end(&others));
	EXPECT_EQ(0, beside_end(&goes));
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(self->vmm.dev[0], 0, pasid, VA_A,
					     &value));
}

/* ---------------------------------------------------------------------
 * Containers
 */

/* The container's descriptor goes, the container stays while it is in use */
TEST_F(life, container_closed_first)
{
	struct guest *guest = &self->guest;
	struct scope dev;
	__u64 value;

	ASSERT_DONE(guest_start(guest));
	dev = device_scope(&guest->vmm, 0);
	close_fd(&guest->vmm.container);
	close_fd(&guest->vmm.group[0]);
	test_cmd_unbind(dev, PASID_CONTAINER);
	test_cmd_bind(dev, &guest->pt, PASID_CONTAINER);
	test_cmd_inv(dev, inv_domain(IOMMU_CACHE_INV_TYPE_IOTLB));
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(dev.fd, 0, PASID_CONTAINER, VA_A,
					     &value));
	guest_stop(guest);
	check_clean(_metadata);
}

struct caller {
	pthread_t thread;
	struct vmm *vmm;
	const struct guest_pt *pt;
	int kind;
	volatile bool *stop;
	unsigned long good;
	unsigned long refused;
	int bad;
};

/* What a container may say while its groups come and go */
static bool is_expected(int err)
{
	switch (err) {
	case EINVAL:		/* no IOMMU is set */
	case ENODEV:		/* no group left */
	case ENOENT:		/* the binding went with the group */
	case EOPNOTSUPP:	/* nothing to say what PASIDs there are */
	case EBUSY:		/* bound by the other thread */
	case EDQUOT:		/* nobody has freed any for a while */
		return true;
	default:
		return false;
	}
}

static int caller_call(struct caller *caller)
{
	struct scope scope = container_scope(caller->vmm);
	struct iommu_nesting_info info;
	__u32 pasid;
	int ret;

	switch (caller->kind) {
	case 0:
		ret = _test_cmd_pasid_alloc(scope.fd, 1, UINT_MAX, &pasid);
		if (!ret)
			_test_cmd_bind(scope, caller->pt, pasid);
		return ret;
	case 1:
		ret = _test_cmd_bind(scope, caller->pt, NO_PASID);
		_test_cmd_unbind(scope, NO_PASID);
		return ret;
	case 2:
		return _test_cmd_inv(scope,
				     inv_domain(IOMMU_CACHE_INV_TYPE_IOTLB));
	default:
		ret = _test_cmd_get_nesting_cap(scope.fd, &info);
		_test_cmd_pasid_free(scope.fd, 0, UINT_MAX);
		return ret;
	}
}

static void *caller_fn(void *arg)
{
	struct caller *caller = arg;

	while (!*caller->stop) {
		if (!caller_call(caller))
			caller->good++;
		else if (is_expected(errno))
			caller->refused++;
		else
			caller->bad = errno;
	}
	return NULL;
}

TEST_F(life, unset_container_during_calls)
{
	struct guest *guest = &self->guest;
	struct caller callers[4] = {};
	volatile bool stop = false;
	struct vmm *vmm = &guest->vmm;
	struct timespec begin, now;
	unsigned int i, rounds = 0;

	ASSERT_DONE(vmm_open(vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	close_fd(&vmm->dev[0]);
	for (i = 0; i < ARRAY_SIZE(callers); i++) {
		callers[i].vmm = vmm;
		callers[i].pt = &guest->pt;
		callers[i].kind = i;
		callers[i].stop = &stop;
		ASSERT_EQ(0, pthread_create(&callers[i].thread, NULL,
					    caller_fn, &callers[i]));
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		ASSERT_DONE(ioctl(vmm->group[0], VFIO_GROUP_UNSET_CONTAINER));
		sched_yield();
		ASSERT_DONE(ioctl(vmm->group[0], VFIO_GROUP_SET_CONTAINER,
				  &vmm->container));
		ASSERT_DONE(ioctl(vmm->container, VFIO_SET_IOMMU,
				  VFIO_TYPE1_NESTING_IOMMU));
		sleep_ms(rounds % 8);
		rounds++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < 2);
	stop = true;
	for (i = 0; i < ARRAY_SIZE(callers); i++) {
		ASSERT_EQ(0, pthread_join(callers[i].thread, NULL));
		EXPECT_EQ(0, callers[i].bad);
		EXPECT_LT(0, callers[i].good);
	}
	EXPECT_LT(1, rounds);
	guest_stop(guest);
	check_clean(_metadata);
}

/* ---------------------------------------------------------------------
 * Copies from and to user space that take as long as user space likes
 */
#define stalled_test	FIXTURE_DATA(stalled)

FIXTURE(stalled)
{
	struct guest guest;
	/* Two pages, the second of which is missing until somebody provides it */
	__u8 *mem;
	size_t page_size;
	int uffd;
};

FIXTURE_SETUP(stalled)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (!mock_present())
		SKIP(return, "no mock hardware");
	ASSERT_EQ(0, param_set(PARAM_MOCK("lack"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("grow"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), MOCK_STYLE_PGTBL));
	guest_init(&self->guest);
	self->uffd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (self->uffd < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_DONE(ioctl(self->uffd, UFFDIO_API, &api));
	self->page_size = sysconf(_SC_PAGE_SIZE);
	self->mem = mmap(NULL, 2 * self->page_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->mem != MAP_FAILED);
	memset(self->mem, 0, self->page_size);
	reg.range.start = (uintptr_t)self->mem + self->page_size;
	reg.range.len = self->page_size;
	ASSERT_DONE(ioctl(self->uffd, UFFDIO_REGISTER, &reg));
	ASSERT_DONE(guest_start(&self->guest));
}

FIXTURE_TEARDOWN(stalled)
{
	close_fd(&self->uffd);
	guest_stop(&self->guest);
	params_restore();
}

struct stalled {
	pthread_t thread;
	int (*fn)(stalled_test *self);
	stalled_test *self;
	volatile bool done;
	int ret;
	int error;
};

static void *stalled_fn(void *arg)
{
	struct stalled *stalled = arg;

	stalled->ret = stalled->fn(stalled->self);
	stalled->error = errno;
	stalled->done = true;
	return NULL;
}

/* Begin, and wait until the kernel has met the page that is not there */
static void stall(struct __test_metadata *_metadata,
		  stalled_test *self, struct stalled *stalled)
{
	struct uffd_msg msg;

	stalled->self = self;
	ASSERT_EQ(0, pthread_create(&stalled->thread, NULL, stalled_fn,
				    stalled));
	ASSERT_EQ(POLLIN, fd_wait(self->uffd, POLLIN, WAIT_MS));
	ASSERT_EQ(sizeof(msg), read(self->uffd, &msg, sizeof(msg)));
	ASSERT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);
	EXPECT_FALSE(stalled->done);
}

/* Provide the page, with @data at its beginning, and wait for the end */
static void resume(struct __test_metadata *_metadata,
		   stalled_test *self, struct stalled *stalled,
		   const void *data, size_t size)
{
	__u8 page[self->page_size] __attribute__((aligned(8)));
	struct uffdio_copy copy = {
		.dst = (uintptr_t)self->mem + self->page_size,
		.src = (uintptr_t)page,
		.len = self->page_size,
	};
	struct timespec until;

	EXPECT_FALSE(stalled->done);
	memset(page, 0, self->page_size);
	memcpy(page, data, size);
	ASSERT_DONE(ioctl(self->uffd, UFFDIO_COPY, &copy));
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_MS / 1000;
	ASSERT_EQ(0, pthread_timedjoin_np(stalled->thread, NULL, &until));
}

/* The wrapper is there, its payload begins where the page is missing */
static struct wrapper *stalled_wrapper(stalled_test *self,
				       struct scope scope, enum nesting_op op,
				       size_t size)
{
	struct wrapper *wrapper = (struct wrapper *)(self->mem +
						     self->page_size) - 1;

	wrapper->argsz = sizeof(*wrapper) + size;
	wrapper->flags = nesting_flags(scope, op);
	return wrapper;
}

static int call_bind(stalled_test *self)
{
	struct scope scope = container_scope(&self->guest.vmm);

	return nesting_ioctl(scope, OP_BIND_PGTBL,
			     stalled_wrapper(self, scope, OP_BIND_PGTBL,
					     sizeof(struct iommu_gpasid_bind_data)));
}

static int call_device_bind(stalled_test *self)
{
	struct scope scope = device_scope(&self->guest.vmm, 0);

	return nesting_ioctl(scope, OP_BIND_PGTBL,
			     stalled_wrapper(self, scope, OP_BIND_PGTBL,
					     sizeof(struct iommu_gpasid_bind_data)));
}

/* The batch is there, its second entry is not */
static int call_batch(stalled_test *self)
{
	struct iommu_cache_invalidate_info *first = (void *)
		(self->mem + self->page_size - sizeof(*first));
	__u32 done;

	*first = inv_domain(IOMMU_CACHE_INV_TYPE_IOTLB);
	if (_test_cmd_inv_batch(container_scope(&self->guest.vmm), first,
				sizeof(*first), 2, &done))
		return -1;
	return done;
}

static int call_respond(stalled_test *self)
{
	return write(self->guest.fault, self->mem + self->page_size,
		     sizeof(struct iommu_page_response));
}

static int call_fault_read(stalled_test *self)
{
	return read(self->guest.fault, self->mem + self->page_size,
		    sizeof(struct iommu_fault));
}

/* None of this waits for the call that is stalled */
static void everything_else(struct __test_metadata *_metadata,
			    stalled_test *self)
{
	struct vmm *vmm = &self->guest.vmm;
	struct scope scope = container_scope(vmm);
	struct iommu_nesting_info info;
	__u64 value;
	__u32 pasid;

	ASSERT_DONE(_test_cmd_get_nesting_cap(vmm->container, &info));
	test_cmd_pasid_alloc(vmm->container, 200, 300, &pasid);
	test_cmd_bind(scope, &self->guest.pt, pasid);
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(vmm->dev[0], 0, pasid, VA_A,
					     &value));
	test_cmd_inv(scope, inv_pasid(IOMMU_CACHE_INV_TYPE_IOTLB, pasid));
	test_cmd_inv(scope, inv_domain(IOMMU_CACHE_INV_TYPE_IOTLB));
	test_cmd_unbind(scope, pasid);
	test_cmd_pasid_free(vmm->container, pasid, pasid);
	test_cmd_unbind(device_scope(vmm, 0), PASID_DEVICE);
}

/* The end of the container's last group does not wait for its calls either */
static void close_container(struct __test_metadata *_metadata,
			    stalled_test *self)
{
	close_fd(&self->guest.fault);
	vmm_close_fds(&self->guest.vmm);
}

TEST_F(stalled, container_bind)
{
	struct stalled stalled = { .fn = call_bind };
	struct iommu_gpasid_bind_data data;
	struct vmm *vmm = &self->guest.vmm;

	test_cmd_unbind(container_scope(vmm), PASID_CONTAINER);
	data = bind_data(&self->guest.pt, PASID_CONTAINER);
	stall(_metadata, self, &stalled);
	everything_else(_metadata, self);
	close_container(_metadata, self);
	check_clean(_metadata);
	resume(_metadata, self, &stalled, &data, sizeof(data));
	/* There is neither that PASID nor a device any more */
	EXPECT_EQ(-1, stalled.ret);
	EXPECT_EQ(ENOENT, stalled.error);
	check_clean(_metadata);
}

TEST_F(stalled, container_bind_resumed)
{
	struct stalled stalled = { .fn = call_bind };
	struct iommu_gpasid_bind_data data;
	struct vmm *vmm = &self->guest.vmm;
	__u64 value;

	test_cmd_unbind(container_scope(vmm), PASID_CONTAINER);
	data = bind_data(&self->guest.pt, PASID_CONTAINER);
	stall(_metadata, self, &stalled);
	everything_else(_metadata, self);
	resume(_metadata, self, &stalled, &data, sizeof(data));
	EXPECT_EQ(0, stalled.ret);
	EXPECT_EQ(MOCK_DMA_OK, mock_dma_read(vmm->dev[0], 0, PASID_CONTAINER,
					     VA_A, &value));
}

TEST_F(stalled, device_bind)
{
	struct stalled stalled = { .fn = call_device_bind };
	struct iommu_gpasid_bind_data data;
	struct vmm *vmm = &self->guest.vmm;

	test_cmd_unbind(container_scope(vmm), PASID_CONTAINER);
	data = bind_data(&self->guest.pt, PASID_CONTAINER);
	stall(_metadata, self, &stalled);
	everything_else(_metadata, self);
	/* The call keeps the device open, closing does not wait for that */
	close_fd(&self->guest.fault);
	vmm_close_fds(vmm);
	resume(_metadata, self, &stalled, &data, sizeof(data));
	EXPECT_EQ(0, stalled.ret);
	check_clean(_metadata);
}

TEST_F(stalled, batch)
{
	struct stalled stalled = { .fn = call_batch };
	struct iommu_cache_invalidate_info entry =
		inv_domain(IOMMU_CACHE_INV_TYPE_IOTLB);

	stall(_metadata, self, &stalled);
	everything_else(_metadata, self);
	close_container(_metadata, self);
	check_clean(_metadata);
	resume(_metadata, self, &stalled, &entry, sizeof(entry));
	/* Both are done: the second has no device that could have anything cached */
	EXPECT_EQ(2, stalled.ret);
	check_clean(_metadata);
}

TEST_F(stalled, response)
{
	struct stalled stalled = { .fn = call_respond };
	struct iommu_page_response resp = page_response(0, PASID_CONTAINER, 1, 0);
	struct iommu_fault record;
	int dev = self->guest.vmm.dev[0];

	test_cmd_page_request(dev, 0, PASID_CONTAINER, 1, VA_UNMAPPED, 1,
			      PERM_R);
	test_cmd_page_request(dev, 0, PASID_CONTAINER, 2, VA_UNMAPPED, 1,
			      PERM_R);
	test_cmd_fault_read(self->guest.fault, &record);
	test_cmd_fault_read(self->guest.fault, &record);
	stall(_metadata, self, &stalled);
	everything_else(_metadata, self);
	test_cmd_respond(self->guest.fault, 0, PASID_CONTAINER, 2, INVALID);
	test_device_gets(INVALID, dev, PASID_CONTAINER, 2);
	vmm_close_fds(&self->guest.vmm);
	check_clean(_metadata);
	resume(_metadata, self, &stalled, &resp, sizeof(resp));
	EXPECT_EQ(-1, stalled.ret);
	EXPECT_EQ(ENODEV, stalled.error);
}

TEST_F(stalled, fault_read)
{
	struct stalled stalled = { .fn = call_fault_read };
	int dev = self->guest.vmm.dev[0];

	test_cmd_page_request(dev, 0, PASID_CONTAINER, 1, VA_UNMAPPED, 1,
			      PERM_R);
	stall(_metadata, self, &stalled);
	everything_else(_metadata, self);
	/* Nobody has read it yet, so nobody can answer it */
	test_err_respond(ENOENT, self->guest.fault, 0, PASID_CONTAINER, 1,
			 INVALID);
	vmm_close_fds(&self->guest.vmm);
	check_clean(_metadata);
	resume(_metadata, self, &stalled, "", 0);
	/* What was being copied has arrived, whatever became of it since */
	EXPECT_EQ(sizeof(struct iommu_fault), stalled.ret);
}

TEST_HARNESS_MAIN
