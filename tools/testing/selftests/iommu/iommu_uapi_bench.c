// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: what the calls cost
 *
 * Prints nanoseconds. For the number of instructions instead, which does not
 * depend on the machine, run it in a guest with one CPU under
 *	qemu -icount shift=0,sleep=off -cpu max,-erms,-fsrm
 * where each instruction takes one nanosecond of virtual time, with a kernel that
 * has neither fault injection nor sanitizers.
 */
#include "iommu_uapi_utils.h"

#define VA_A		0x7f1234567000ULL

#define EXIT_SKIP	4

/* Calls of each kind, of which the median counts */
#define NR_ROUNDS	1001

static struct vmm vmm;
static struct guest_pt pt;
static __u32 pasid;
static int fault;

static __attribute__((noreturn)) void give_up(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static __u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const __u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Median time of a call of @fn; @prepare is called before each, if not NULL */
static __u64 measure(void (*prepare)(void), void (*fn)(void))
{
	static __u64 times[NR_ROUNDS];
	int i;

	for (i = 0; i < NR_ROUNDS; i++) {
		__u64 begin;

		if (prepare)
			prepare();
		begin = now_ns();
		fn();
		times[i] = now_ns() - begin;
	}
	qsort(times, NR_ROUNDS, sizeof(*times), compare);
	return times[NR_ROUNDS / 2];
}

static void nothing(void)
{
}

/* An ioctl of a container that does nothing */
static void null_ioctl(void)
{
	if (ioctl(vmm.container, VFIO_GET_API_VERSION) != VFIO_API_VERSION)
		give_up("VFIO_GET_API_VERSION");
}

/* Wrappers are made beforehand: what they cost is the caller's affair */
static struct {
	struct wrapper head;
	struct iommu_cache_invalidate_info info;
} one;

static void invalidate_container(void)
{
	if (ioctl(vmm.container, VFIO_IOMMU_CACHE_INVALIDATE, &one))
		give_up("VFIO_IOMMU_CACHE_INVALIDATE");
}

static void invalidate_device(void)
{
	if (ioctl(vmm.dev[0], VFIO_DEVICE_FEATURE, &one))
		give_up("VFIO_DEVICE_FEATURE_CACHE_INVALIDATE");
}

#define MAX_BATCH	64

static struct iommu_cache_invalidate_info entries[MAX_BATCH];
static struct {
	struct wrapper head;
	struct iommu_cache_invalidate_batch info;
} batch;

static void prepare_batch(void)
{
	batch.info.done = 0;
}

static void invalidate_batch(void)
{
	if (ioctl(vmm.container, VFIO_IOMMU_CACHE_INVALIDATE, &batch) ||
	    batch.info.done != batch.info.count)
		give_up("VFIO_IOMMU_CACHE_INVALIDATE, batch");
}

static __u64 measure_batch(unsigned int count)
{
	batch.info.count = count;
	return measure(prepare_batch, invalidate_batch);
}

/* What iommufd's own test device calls trigger, read and response */
static void ask(void)
{
	if (_test_cmd_page_request(vmm.dev[0], 0, pasid, 1, VA_A, 1,
				   IOMMU_FAULT_PERM_READ))
		give_up("page request");
	if (!fd_wait(fault, POLLIN, WAIT_MS))
		give_up("page request does not arrive");
}

static void read_and_respond(void)
{
	struct iommu_page_response resp = page_response(0, pasid, 1, 0);
	struct iommu_fault record;

	if (read(fault, &record, sizeof(record)) != sizeof(record) ||
	    write(fault, &resp, sizeof(resp)) != sizeof(resp))
		give_up("page response");
}

static void ask_and_fetch(void)
{
	struct mock_page_response resp = { .argsz = sizeof(resp) };

	/* The answer to the one before, for which there is room only for so long */
	ioctl(vmm.dev[0], MOCK_IOC_PAGE_RESPONSE, &resp);
	ask();
}

static void bind(void)
{
	if (_test_cmd_bind(container_scope(&vmm), &pt, NO_PASID))
		give_up("bind");
}

static void unbind(void)
{
	if (_test_cmd_unbind(container_scope(&vmm), NO_PASID))
		give_up("unbind");
}

static void set_up(void)
{
	int i;

	if (param_set(PARAM_MOCK("lack"), 0) ||
	    param_set(PARAM_MOCK("grow"), 0) ||
	    param_set(PARAM_MOCK("style"), MOCK_STYLE_PGTBL) ||
	    vmm_init(&vmm) || vmm_open(&vmm, VFIO_TYPE1_NESTING_IOMMU, 1))
		give_up("container");
	guest_pt_init(&pt, &vmm, GUEST_PT_VTD, 4);
	if (_test_cmd_pasid_alloc(vmm.container, 1, UINT_MAX, &pasid) ||
	    _test_cmd_bind(container_scope(&vmm), &pt, pasid))
		give_up("bind");
	fault = fault_open(vmm.dev[0]);
	if (fault < 0)
		give_up("fault file descriptor");

	one.head.argsz = sizeof(one);
	one.info = inv_addr(IOMMU_CACHE_INV_TYPE_IOTLB, pasid, VA_A, SZ_4K, 1);
	batch.head.argsz = sizeof(batch);
	batch.head.flags = VFIO_IOMMU_CACHE_INVALIDATE_BATCH;
	batch.info = (struct iommu_cache_invalidate_batch) {
		.argsz = sizeof(batch.info),
		.version = IOMMU_UAPI_VERSION_1,
		.entry_size = sizeof(*entries),
		.entries = (uintptr_t)entries,
	};
	for (i = 0; i < MAX_BATCH; i++)
		entries[i] = inv_addr(IOMMU_CACHE_INV_TYPE_IOTLB, pasid,
				      VA_A + i * SZ_4K, SZ_4K, 1);
}

/* A clock that only ticks with a timer says nothing about single calls */
static bool clock_is_coarse(void)
{
	__u64 begin = now_ns(), next;

	do {
		next = now_ns();
	} while (next == begin);
	return next - begin > 100000;
}

static void report(const char *what, __u64 ns)
{
	printf("%-52s %8llu\n", what, (unsigned long long)ns);
}

int main(void)
{
	__u64 clock, few, many;

	if (!mock_present()) {
		printf("There is no mock hardware on this machine.\n");
		return EXIT_SKIP;
	}
	if (clock_is_coarse()) {
		printf("This machine's clock is too coarse.\n");
		return EXIT_SKIP;
	}
	set_up();
	/* Of each call, the clock's own part is not counted */
	clock = measure(NULL, nothing);
	printf("%-52s %8s\n", "median of 1001 calls", "ns");
	report("null ioctl of a VFIO container",
	       measure(NULL, null_ioctl) - clock);

	one.head.flags = VFIO_IOMMU_CACHE_INVALIDATE_ONE;
	report("invalidate one address, container",
	       measure(NULL, invalidate_container) - clock);
	one.head.flags = VFIO_DEVICE_FEATURE_SET |
			 VFIO_DEVICE_FEATURE_CACHE_INVALIDATE;
	report("invalidate one address, device",
	       measure(NULL, invalidate_device) - clock);

	few = measure_batch(1);
	many = measure_batch(MAX_BATCH);
	report("invalidate a batch of one", few - clock);
	report("invalidate, each further entry of a batch",
	       (many - few) / (MAX_BATCH - 1));

	report("read a page request and answer it",
	       measure(ask_and_fetch, read_and_respond) - clock);
	bind();
	report("bind a page table", measure(unbind, bind) - clock);
	unbind();
	report("unbind a page table", measure(bind, unbind) - clock);
	close(fault);
	vmm_close(&vmm);
	return 0;
}
