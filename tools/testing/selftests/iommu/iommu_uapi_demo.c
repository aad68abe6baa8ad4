// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: a demonstration for people
 *
 *   iommu_uapi_demo [mock|smmuv3|vtd]
 *
 * Goes once through the life of a guest's page table and tells on a page what
 * happens. Every value on the page was read back from the kernel, from the device
 * or from guest memory; only where the guest's memory and its tables are, how deep
 * they are, and each argsz was decided here. The last line is the result as TAP.
 * Exits with 1 if anything is not as it should be, with 4 if there is no hardware to
 * show it on.
 *
 * What depends on the device is in struct hw. What depends on the IOMMU follows
 * from the features that it has: a page table per PASID and page requests, or
 * one table of PASIDs and reports of faults.
 */
#include <stdarg.h>
#include <sys/utsname.h>

#include "iommu_uapi_utils.h"
#include "iommu_uapi_edu.h"
#include "iommu_uapi_testdev.h"

#define EXIT_SKIP	4

/* Where the guest has its pages: addresses that nobody else has */
#define VA_BUFFER	0x7f1234567000ULL
#define VA_LATER	0x00c0ffeed000ULL
#define VA_SCRATCH	0x000051c7a000ULL

/* ---------------------------------------------------------------------
 * The page
 */
static int nr_steps;
static int nr_wrong;

static __attribute__((format(printf, 1, 2))) void step(const char *fmt, ...)
{
	va_list args;

	printf("\n%2d. ", ++nr_steps);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

static __attribute__((format(printf, 2, 3))) void show(const char *what,
						       const char *fmt, ...)
{
	va_list args;

	printf("      %-24s ", what);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

/* Says nothing as long as all is well */
static void check(bool good, const char *what)
{
	if (good)
		return;
	printf("      !!! NOT AS IT SHOULD BE: %s\n", what);
	nr_wrong++;
}

static __attribute__((noreturn)) void give_up(const char *what)
{
	printf("      !!! %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---------------------------------------------------------------------
 * The device
 */
struct outcome {
	bool done;
	const char *text;
};

/**
 * struct hw - A device that can be told to read and write memory
 * @option: its name on the command line
 * @name: what it is
 * @format: of the page tables that its IOMMU reads
 * @present: whether this machine has it
 * @open: open a container with it, with guest memory mapped
 * @dma: let it write to or read from @addr; @wait: it waits for a page that is
 *	missing
 * @caches: what an invalidation has to be for: IOMMU_CACHE_INV_TYPE_*
 * @describe: one line about the state of its caches, or NULL
 * @described: what that line is about
 */
struct hw {
	const char *option;
	const char *name;
	enum guest_pt_format format;
	bool (*present)(void);
	int (*open)(struct vmm *vmm);
	struct outcome (*dma)(struct vmm *vmm, bool write, bool wait,
			      __u32 pasid, __u64 addr, void *data, __u32 len);
	__u8 caches;
	void (*describe)(struct vmm *vmm, char *buf, size_t size);
	const char *described;
};

static int mock_open(struct vmm *vmm)
{
	/* Whatever a test has left behind */
	if (param_set(PARAM_MOCK("lack"), 0) ||
	    param_set(PARAM_MOCK("grow"), 0) ||
	    param_set(PARAM_MOCK("style"), MOCK_STYLE_PGTBL) ||
	    vmm_init(vmm))
		return -1;
	return vmm_open(vmm, VFIO_TYPE1_NESTING_IOMMU, 1);
}

static struct outcome mock_hw_dma(struct vmm *vmm, bool write, bool wait,
				  __u32 pasid, __u64 addr, void *data,
				  __u32 len)
{
	static const char *const texts[] = {
		[MOCK_DMA_OK] = "done",
		[MOCK_DMA_ABORT_S1] = "stopped by stage 1, the guest's table",
		[MOCK_DMA_ABORT_S2] = "stopped by stage 2, the host's table",
		[MOCK_DMA_BLOCKED] = "blocked, nothing is bound to the PASID",
		[MOCK_DMA_PRI_INVALID] = "page request answered \"invalid\"",
		[MOCK_DMA_PRI_FAILURE] = "page request answered \"failure\"",
	};
	int status = mock_dma(vmm->dev[0], (write ? MOCK_DMA_WRITE : 0) |
			      (wait ? MOCK_DMA_PRI : 0), pasid, addr, data,
			      len);

	if (status < 0)
		return (struct outcome) { false, strerror(errno) };
	return (struct outcome) { status == MOCK_DMA_OK, texts[status] };
}

static void mock_describe(struct vmm *vmm, char *buf, size_t size)
{
	struct mock_stats stats = mock_stats(vmm->dev[0]);

	snprintf(buf, size,
		 "%u bound, %u translations cached, %llu invalidations",
		 stats.bonds, stats.iotlb_entries,
		 (unsigned long long)stats.invalidations);
}

static const struct hw mock_hw = {
	.option = "mock",
	.format = GUEST_PT_VTD,
	.name = "mock hardware (drivers/iommu/iommu-uapi/mock)",
	.present = mock_present,
	.open = mock_open,
	.dma = mock_hw_dma,
	.caches = IOMMU_CACHE_INV_TYPE_IOTLB,
	.describe = mock_describe,
	.described = "the IOMMU has",
};

/*
 * QEMU's edu device behind its SMMUv3. It has a buffer of its own that is filled
 * and emptied by DMA only, through a page of guest memory, and it does not say
 * whether a transaction was stopped: what arrives in memory says that.
 */
static struct pci_dev edu;
static __u64 scratch;
/* By which address the device finds the page, now */
static __u64 scratch_addr;

static bool edu_present(void)
{
	return edu_find() > 0;
}

static int edu_open(struct vmm *vmm)
{
	if (vmm_init(vmm) ||
	    vmm_open_pci(vmm, VFIO_TYPE1_NESTING_IOMMU, 0, edu_names[0]) ||
	    edu_start(&edu, vmm->dev[0]))
		return -1;
	scratch = guest_page(vmm);
	scratch_addr = scratch;
	return 0;
}

static struct outcome edu_hw_dma(struct vmm *vmm, bool write, bool wait,
				 __u32 pasid, __u64 addr, void *data,
				 __u32 len)
{
	char *page = guest_ptr(vmm, scratch);
	bool arrived;

	(void)wait;
	(void)pasid;
	if (write) {
		memcpy(page, data, len);
		if (edu_dma(&edu, false, scratch_addr, 0, len))
			give_up("the device");
		memset(page, 0, len);
		if (edu_dma(&edu, true, addr, 0, len))
			give_up("the device");
		arrived = memmem(vmm->ram, GUEST_RAM_SIZE, data, len);
	} else {
		/* The buffer may have old data: begin with none */
		memset(page, 0, len);
		if (edu_dma(&edu, false, scratch_addr, 0, len) ||
		    edu_dma(&edu, false, addr, 0, len) ||
		    edu_dma(&edu, true, scratch_addr, 0, len))
			give_up("the device");
		memcpy(data, page, len);
		arrived = *(char *)data;
	}
	return (struct outcome) {
		arrived, arrived ? "done" : "stopped, nothing arrives",
	};
}

static const struct hw smmuv3_hw = {
	.option = "smmuv3",
	.name = "SMMUv3, device \"edu\"",
	.format = GUEST_PT_ARM,
	.present = edu_present,
	.open = edu_open,
	.dma = edu_hw_dma,
	.caches = IOMMU_CACHE_INV_TYPE_IOTLB,
};

/*
 * QEMU's test device behind its VT-d. It asks the IOMMU for translations, keeps
 * them in a cache of its own, and asks for pages that are missing.
 */
static struct testdev testdev;

static bool testdev_present(void)
{
	return testdev_find() > 0;
}

static int testdev_open(struct vmm *vmm)
{
	if (vmm_init(vmm) ||
	    vmm_open_pci(vmm, VFIO_TYPE1_NESTING_IOMMU, 0, testdev_names[0]))
		return -1;
	return testdev_start(&testdev, vmm->dev[0]);
}

static struct outcome testdev_hw_dma(struct vmm *vmm, bool write, bool wait,
				     __u32 pasid, __u64 addr, void *data,
				     __u32 len)
{
	static const char *const texts[] = {
		[TESTDEV_DONE] = "done",
		[TESTDEV_ABORTED] = "stopped on the bus",
		[TESTDEV_NO_ACCESS] = "stopped, there is no translation",
		[TESTDEV_INVALID] = "page request answered \"invalid\"",
		[TESTDEV_FAILURE] = "page request answered \"failure\"",
		[TESTDEV_WAITING] = "page request not answered",
		[TESTDEV_REFUSED] = "refused by the device",
	};
	__u32 status;

	(void)vmm;
	if (write)
		memcpy((void *)testdev.buf, data, len);
	else
		memset((void *)testdev.buf, 0, len);
	status = testdev_dma(&testdev, TESTDEV_ATS | (wait ? TESTDEV_PRI : 0) |
			     (write ? TESTDEV_TO_BUS : 0), pasid, addr, 0, len);
	if (!write)
		memcpy(data, (void *)testdev.buf, len);
	if (status >= sizeof(texts) / sizeof(*texts) || !texts[status])
		return (struct outcome) { false, "not begun" };
	return (struct outcome) { status == TESTDEV_DONE, texts[status] };
}

static void testdev_describe(struct vmm *vmm, char *buf, size_t size)
{
	(void)vmm;
	snprintf(buf, size, "%u translations cached, %u invalidations",
		 testdev_read(&testdev, TESTDEV_ATC_USED),
		 testdev_read(&testdev, TESTDEV_ATC_INVALS));
}

static const struct hw vtd_hw = {
	.option = "vtd",
	.name = "VT-d, device \"pcie-dma-testdev\"",
	.format = GUEST_PT_VTD,
	.present = testdev_present,
	.open = testdev_open,
	.dma = testdev_hw_dma,
	.caches = IOMMU_CACHE_INV_TYPE_IOTLB | IOMMU_CACHE_INV_TYPE_DEV_IOTLB,
	.describe = testdev_describe,
	.described = "the device has",
};

/* ---------------------------------------------------------------------
 * The demonstration
 */
static const struct hw *const all_hw[] = { &mock_hw, &smmuv3_hw, &vtd_hw };
static const struct hw *hw = &mock_hw;
static struct vmm vmm;
static struct guest_pt pt;
static struct iommu_nesting_info info;
static __u32 pasid = NO_PASID;
/* Guest-physical address of the table of PASIDs, if the IOMMU wants one */
static __u64 pasid_table;
static int fault;

static bool has(__u32 feature)
{
	return info.features & feature;
}

static void show_state(void)
{
	char buf[80];

	if (!hw->describe)
		return;
	hw->describe(&vmm, buf, sizeof(buf));
	show(hw->described, "%s", buf);
}

static struct outcome device_writes(__u64 addr, const char *text)
{
	char buf[64] = {};

	snprintf(buf, sizeof(buf), "%s", text);
	return hw->dma(&vmm, true, false, pasid, addr, buf, sizeof(buf));
}

/* Let the device read a line of text at @addr, and see whether it is @expected */
static void device_reads(__u64 addr, const char *expected)
{
	char buf[64] = {};
	struct outcome out = hw->dma(&vmm, false, false, pasid, addr, buf,
				     sizeof(buf) - 1);

	if (out.done)
		show("the device reads", "\"%s\"", buf);
	else
		show("the device reads", "nothing: %s", out.text);
	check(out.done && !strcmp(buf, expected), "what the device read");
}

static void guest_puts(__u64 gpa, const char *text)
{
	snprintf(guest_ptr(&vmm, gpa), 64, "%s", text);
}

static void show_entry(__u64 va)
{
	__u64 gpa = guest_pt_entry(&pt, va, 1), entry = guest_read(&vmm, gpa);
	bool vtd = hw->format == GUEST_PT_VTD;

	show("page table entry", "%#llx, at guest-physical %#llx%s%s",
	     (unsigned long long)entry, (unsigned long long)gpa,
	     vtd && entry & VTD_A ? ", accessed" : "",
	     vtd && entry & VTD_D ? ", dirty" : "");
}

static void show_features(void)
{
	static const struct {
		__u32 bit;
		const char *name;
	} features[] = {
		{ IOMMU_NESTING_FEAT_SYSWIDE_PASID, "system-wide PASIDs" },
		{ IOMMU_NESTING_FEAT_BIND_PGTBL, "page table per PASID" },
		{ IOMMU_NESTING_FEAT_BIND_PASID_TABLE, "PASID table" },
		{ IOMMU_NESTING_FEAT_CACHE_INVLD, "cache invalidation" },
		{ IOMMU_NESTING_FEAT_PAGE_REQUEST, "page requests" },
	};
	static const char *const formats[] = {
		"?", "Intel VT-d first stage", "Arm SMMUv3",
	};
	static const char *const names[] = {
		[IOMMU_PAYLOAD_PASID_REQUEST] = "PASID request",
		[IOMMU_PAYLOAD_BIND_PGTBL] = "bind page table",
		[IOMMU_PAYLOAD_BIND_PASID_TABLE] = "bind PASID table",
		[IOMMU_PAYLOAD_CACHE_INVALIDATE] = "invalidate",
		[IOMMU_PAYLOAD_CACHE_INVALIDATE_BATCH] = "invalidate, batch",
		[IOMMU_PAYLOAD_PAGE_RESPONSE] = "page response",
		[IOMMU_PAYLOAD_NESTING_INFO] = "this query",
	};
	char list[160] = "";
	size_t i;

	for (i = 0; i < sizeof(features) / sizeof(*features); i++)
		if (info.features & features[i].bit)
			snprintf(list + strlen(list),
				 sizeof(list) - strlen(list), "%s%s",
				 *list ? ", " : "", features[i].name);
	show("format", "%s", formats[info.format < 3 ? info.format : 0]);
	show("features", "%s", list);
	show("guest addresses", "up to %u bits", info.addr_width);
	show("PASIDs", "up to %u bits", info.pasid_bits);
	show("known payloads", "%-20s bytes  at least  version", "");
	for (i = 0; i < info.nr_payloads; i++)
		show("", "%-20s %5u  %8u  %7u",
		     info.payloads[i].id < IOMMU_PAYLOAD_NR ?
		     names[info.payloads[i].id] : "?", info.payloads[i].size,
		     info.payloads[i].min_size, info.payloads[i].version);
}

static void open_container(void)
{
	step("Open a VFIO container for nested translation, ask what it can do");
	if (hw->open(&vmm))
		give_up("cannot open a nesting container");
	if (_test_cmd_get_nesting_cap(vmm.container, &info))
		give_up("the container has no nesting capability");
	show_features();
	check(has(IOMMU_NESTING_FEAT_BIND_PGTBL) ||
	      has(IOMMU_NESTING_FEAT_BIND_PASID_TABLE),
	      "page tables can be bound");
}

static void make_guest(__u64 page)
{
	char text[] = "by stage 2 alone";
	struct outcome out;

	step("Give the guest memory (stage 2, the host's)");
	show("guest-physical", "%#llx, %llu KiB", GUEST_RAM,
	     GUEST_RAM_SIZE >> 10);
	show("is host-virtual", "%p", vmm.ram);
	out = hw->dma(&vmm, true, false, NO_PASID, page, text, sizeof(text));
	show("the device writes", "at guest-physical %#llx: %s",
	     (unsigned long long)page, out.text);
	show("found", "\"%.32s\"", (char *)guest_ptr(&vmm, page));
	check(out.done && !strcmp(guest_ptr(&vmm, page), text),
	      "without a guest's table the device reaches guest memory");

	step("Allocate a PASID");
	if (!_test_cmd_pasid_alloc(vmm.container, 1, UINT_MAX, &pasid)) {
		show("the kernel chose", "%u", pasid);
		check(has(IOMMU_NESTING_FEAT_SYSWIDE_PASID),
		      "PASIDs come from the kernel");
		return;
	}
	if (has(IOMMU_NESTING_FEAT_SYSWIDE_PASID))
		give_up("cannot allocate a PASID");
	show("the kernel has none", "%s: they are the guest's own",
	     strerror(errno));
	check(errno == EOPNOTSUPP, "PASIDs are refused for this reason");
}

/* SMMUv3 architecture, section 5.4: a table with the one descriptor for @pt */
static __u64 make_pasid_table(void)
{
	const __u64 inner_outer_wbwa = 1ULL << 8 | 1ULL << 10;
	const __u64 no_ttb1 = 1ULL << 30, valid = 1ULL << 31;
	const __u64 ips_44 = 4ULL << 32, aa64 = 1ULL << 41;
	const __u64 record_abort_aset = 7ULL << 45, asid = 1ULL << 48;
	__u64 table = guest_page(&vmm);

	guest_write(&vmm, table + 8, pt.root);
	guest_write(&vmm, table + 24, 0xff);
	guest_write(&vmm, table, (64 - 48) | inner_outer_wbwa | ARM_SH_IS << 4 |
		    no_ttb1 | valid | ips_44 | aa64 | record_abort_aset | asid);
	return table;
}

/* What the table of PASIDs has, as guest memory says */
static void show_pasid_table(void)
{
	unsigned int nr = 0;
	__u64 root = 0;
	int i;

	for (i = 0; i < SZ_4K; i += 64) {
		if (!(guest_read(&vmm, pasid_table + i) & 1ULL << 31))
			continue;
		root = guest_read(&vmm, pasid_table + i + 8) & PT_ADDR;
		nr++;
	}
	show("PASID table", "guest-physical %#llx",
	     (unsigned long long)pasid_table);
	show("descriptors in it", "%u, to the root at guest-physical %#llx", nr,
	     (unsigned long long)root);
	check(nr == 1 && root == pt.root, "the table has the guest's descriptor");
}

static int bind_pt(void)
{
	if (!pasid_table)
		return _test_cmd_bind(container_scope(&vmm), &pt, pasid);
	return _test_cmd_bind_table(container_scope(&vmm),
				    table_config(IOMMU_PASID_CONFIG_TRANSLATE,
						 pasid_table, 0));
}

static int unbind_pt(void)
{
	if (!pasid_table)
		return _test_cmd_unbind(container_scope(&vmm), pasid);
	return _test_cmd_unbind_table(container_scope(&vmm));
}

/*
 * The highest page that the guest's table maps, which is the buffer's, as its
 * entries in guest memory say it. Sets @gpa to where that leads.
 */
static __u64 mapped_by_guest(__u64 *gpa)
{
	__u64 va = 0, table = pt.root, entry = 0;
	int level, i;

	for (level = pt.levels; level; level--) {
		for (i = 511; i >= 0; i--) {
			entry = guest_read(&vmm, table + i * sizeof(entry));
			if (entry & 1)
				break;
		}
		if (i < 0)
			give_up("the guest's table maps nothing");
		va |= (__u64)i << (12 + 9 * (level - 1));
		table = entry & PT_ADDR;
	}
	*gpa = table;
	return va;
}

static void bind_page_table(__u64 page)
{
	__u64 va, gpa;

	step("Put a guest page table into guest memory (stage 1, the guest's)");
	guest_pt_init(&pt, &vmm, hw->format, 4);
	guest_map(&pt, VA_BUFFER, page);
	if (scratch)
		guest_map(&pt, VA_SCRATCH, scratch);
	show("root", "guest-physical %#llx, %d levels",
	     (unsigned long long)pt.root, pt.levels);
	va = mapped_by_guest(&gpa);
	show("maps", "guest-virtual %#llx", (unsigned long long)va);
	show("to", "guest-physical %#llx", (unsigned long long)gpa);
	check(va == VA_BUFFER && gpa == page, "the table says what it was told");
	show_entry(va);
	if (!has(IOMMU_NESTING_FEAT_BIND_PGTBL)) {
		pasid_table = make_pasid_table();
		show_pasid_table();
	}

	if (pasid_table)
		step("Bind the PASID table to the device");
	else
		step("Bind it to the PASID");
	show_state();
	if (bind_pt())
		give_up("cannot bind the page table");
	scratch_addr = VA_SCRATCH;
	show_state();
}

/* Look for @text in all of guest memory. Sets @nr to how often it is there. */
static __u64 find_in_guest_memory(const char *text, unsigned int *nr)
{
	size_t len = strlen(text);
	__u64 found = 0, i;

	*nr = 0;
	for (i = 0; i + len <= GUEST_RAM_SIZE; i++) {
		if (memcmp(vmm.ram + i, text, len))
			continue;
		found = GUEST_RAM + i;
		++*nr;
	}
	return found;
}

static void do_dma(__u64 page)
{
	const char *text = "Greetings from the device";
	__u64 va, gpa, found;
	struct outcome out;
	unsigned int nr;

	if (pasid == NO_PASID)
		step("The device writes by guest-virtual address, without PASID");
	else
		step("The device writes by guest-virtual address, with PASID %u",
		     pasid);
	va = mapped_by_guest(&gpa);
	out = device_writes(va, text);
	show("at guest-virtual", "%#llx: %s", (unsigned long long)va, out.text);
	found = find_in_guest_memory(text, &nr);
	if (nr) {
		show("found", "%u time, at guest-physical %#llx", nr,
		     (unsigned long long)found);
		show("which is host-virtual", "%p: \"%.64s\"",
		     guest_ptr(&vmm, found), (char *)guest_ptr(&vmm, found));
	}
	check(out.done && nr == 1 && found == page && found == gpa,
	      "what the device wrote is where the guest's table says");
	show_entry(va);
	if (hw->format == GUEST_PT_VTD)
		check((guest_read(&vmm, guest_pt_entry(&pt, va, 1)) &
		       (VTD_A | VTD_D)) == (VTD_A | VTD_D),
		      "the entry is marked accessed and dirty");
	out = device_writes(gpa, "past stage 1");
	show("at guest-physical", "%#llx: %s", (unsigned long long)gpa,
	     out.text);
	check(!out.done, "guest-physical addresses are no way in");
	out = device_writes((uintptr_t)guest_ptr(&vmm, gpa),
			    "past both stages");
	show("at host-virtual", "%p: %s", guest_ptr(&vmm, gpa), out.text);
	check(!out.done, "host addresses are no way in");
}

static void change_entry(__u64 page, __u64 other)
{
	int ret;

	step("The guest changes the entry; what is cached must be invalidated");
	guest_puts(page, "the old page");
	guest_puts(other, "the new page");
	device_reads(VA_BUFFER, "the old page");
	guest_map(&pt, VA_BUFFER, other);
	show_entry(VA_BUFFER);
	device_reads(VA_BUFFER, "the old page");
	show_state();
	ret = _test_cmd_inv(container_scope(&vmm),
			    inv_addr(hw->caches, pasid, VA_BUFFER, SZ_4K,
				     1));
	show("invalidate the address", "%s", ret ? strerror(errno) : "done");
	check(!ret, "invalidation");
	show_state();
	device_reads(VA_BUFFER, "the new page");
}

struct waiting_dma {
	char buf[64];
	struct outcome out;
};

static void *waiting_dma_fn(void *arg)
{
	struct waiting_dma *dma = arg;

	dma->out = hw->dma(&vmm, false, true, pasid, VA_LATER, dma->buf,
			   sizeof(dma->buf) - 1);
	return NULL;
}

static void page_request(__u64 page)
{
	struct waiting_dma dma = {};
	struct iommu_page_response resp;
	struct iommu_fault record;
	pthread_t thread;
	ssize_t taken;

	step("The device touches a page that is not there, and waits for it");
	fault = fault_open(vmm.dev[0]);
	if (fault < 0)
		give_up("cannot open the fault file descriptor");
	show_entry(VA_LATER);
	if (pthread_create(&thread, NULL, waiting_dma_fn, &dma))
		give_up("cannot start a thread");
	if (_test_cmd_fault_read(fault, &record))
		give_up("no page request arrived");
	show("a page request arrives",
	     "PASID %u, group %u, address %#llx, for %s%s", record.prm.pasid,
	     record.prm.grpid, (unsigned long long)record.prm.addr,
	     record.prm.perm & IOMMU_FAULT_PERM_READ ? "reading" : "",
	     record.prm.perm & IOMMU_FAULT_PERM_WRITE ? "writing" : "");
	check(record.type == IOMMU_FAULT_PAGE_REQ &&
	      record.prm.pasid == pasid && record.prm.addr == VA_LATER,
	      "the page request is about that page");

	guest_puts(page, "worth waiting for");
	guest_map(&pt, record.prm.addr, page);
	show_entry(record.prm.addr);
	resp = page_response(0, record.prm.pasid, record.prm.grpid,
			     IOMMU_PAGE_RESP_SUCCESS);
	taken = write(fault, &resp, sizeof(resp));
	if (taken < 0)
		give_up("cannot answer the page request");
	show("answered \"success\"", "the kernel took %zd bytes", taken);
	check(taken == sizeof(resp), "the answer is taken");
	pthread_join(thread, NULL);
	show("the device reads", "\"%s\": %s", dma.buf, dma.out.text);
	check(dma.out.done && !strcmp(dma.buf, "worth waiting for"),
	      "the transaction got the page");
}

static const char *reason(__u32 reason)
{
	static const char *const reasons[] = {
		[IOMMU_FAULT_REASON_PASID_FETCH] = "no PASID table there",
		[IOMMU_FAULT_REASON_BAD_PASID_ENTRY] = "bad PASID entry",
		[IOMMU_FAULT_REASON_PASID_INVALID] = "bad PASID",
		[IOMMU_FAULT_REASON_WALK_EABT] = "no page table there",
		[IOMMU_FAULT_REASON_PTE_FETCH] = "not mapped",
		[IOMMU_FAULT_REASON_PERMISSION] = "not allowed",
		[IOMMU_FAULT_REASON_ACCESS] = "not marked accessed",
		[IOMMU_FAULT_REASON_OOR_ADDRESS] = "out of range",
	};

	if (reason >= sizeof(reasons) / sizeof(*reasons) || !reasons[reason])
		return "unknown";
	return reasons[reason];
}

/* Hardware that cannot wait for a page stops the device, and says why. */
static void page_fault(__u64 page)
{
	struct iommu_fault record;
	struct outcome out;
	char buf[64] = {};

	step("The device touches a page that is not there, and is stopped");
	fault = fault_open(vmm.dev[0]);
	if (fault < 0)
		give_up("cannot open the fault file descriptor");
	show_entry(VA_LATER);
	out = hw->dma(&vmm, false, false, pasid, VA_LATER, buf, 4);
	show("the device reads", "%s: %s", *buf ? buf : "nothing", out.text);
	check(!out.done && !*buf, "the device is stopped");
	if (_test_cmd_fault_read(fault, &record))
		give_up("no fault was reported");
	show("a fault is reported", "%s, address %#llx, for %s%s",
	     reason(record.event.reason),
	     (unsigned long long)record.event.addr,
	     record.event.perm & IOMMU_FAULT_PERM_READ ? "reading" : "",
	     record.event.perm & IOMMU_FAULT_PERM_WRITE ? "writing" : "");
	check(record.type == IOMMU_FAULT_DMA_UNRECOV &&
	      record.event.reason == IOMMU_FAULT_REASON_PTE_FETCH &&
	      record.event.addr == VA_LATER,
	      "the fault is about that page");

	guest_puts(page, "worth coming back for");
	guest_map(&pt, record.event.addr, page);
	show_entry(record.event.addr);
	device_reads(VA_LATER, "worth coming back for");
}

static const char *result(int err)
{
	switch (err) {
	case 0:
		return "works";
	case E2BIG:
		return "E2BIG";
	case EINVAL:
		return "EINVAL";
	default:
		return strerror(err);
	}
}

static void show_size_case(const char *name, __u32 argsz, int err,
			   int expected)
{
	enum iommu_payload_id id = pasid_table ?
		IOMMU_PAYLOAD_BIND_PASID_TABLE : IOMMU_PAYLOAD_BIND_PGTBL;

	printf("      %-34s %8u %13u   %s\n", name, argsz,
	       info.payloads[id].size, result(err));
	check(err == expected, name);
}

/*
 * The payload under test: on the page table style of hardware a second bind, for
 * requests without PASID; else the table anew, in place of what is bound.
 */
union size_payload {
	__u32 argsz;
	struct iommu_gpasid_bind_data pgtbl;
	struct iommu_pasid_table_config table;
	__u8 bytes[256];
};

static __u32 size_fill(union size_payload *payload, __u8 extra)
{
	__u32 size = pasid_table ? sizeof(payload->table) :
				   sizeof(payload->pgtbl);

	memset(payload->bytes, extra, sizeof(payload->bytes));
	if (pasid_table)
		payload->table = table_config(IOMMU_PASID_CONFIG_TRANSLATE,
					      pasid_table, 0);
	else
		payload->pgtbl = bind_data(&pt, NO_PASID);
	return size;
}

/* @extra: what the bytes beyond those that we know are set to */
static void size_case(const char *name, int more, __u8 extra, int expected)
{
	union size_payload payload;
	__u32 argsz = size_fill(&payload, extra) + more;
	int err = 0;

	payload.argsz = argsz;
	if (nesting_call(container_scope(&vmm),
			 pasid_table ? OP_BIND_PASID_TABLE : OP_BIND_PGTBL,
			 &payload, argsz))
		err = errno;
	show_size_case(name, argsz, err, expected);
	if (!err && !pasid_table &&
	    _test_cmd_unbind(container_scope(&vmm), NO_PASID))
		give_up("cannot unbind");
}

/* Unbinding needs less than the whole payload */
static void older_user(void)
{
	union size_payload payload = {};
	int err = 0;

	if (pasid_table) {
		payload.table.argsz =
			offsetofend(struct iommu_pasid_table_config, padding);
		payload.table.version = IOMMU_UAPI_VERSION_1;
	} else {
		payload.pgtbl.argsz =
			offsetofend(struct iommu_gpasid_bind_data, gpasid);
		payload.pgtbl.version = IOMMU_UAPI_VERSION_1;
		payload.pgtbl.flags = IOMMU_SVA_NO_PASID;
		if (_test_cmd_bind(container_scope(&vmm), &pt, NO_PASID))
			give_up("cannot bind");
	}
	if (nesting_call(container_scope(&vmm),
			 pasid_table ? OP_UNBIND_PASID_TABLE : OP_UNBIND_PGTBL,
			 &payload, payload.argsz))
		err = errno;
	show_size_case("2 older user, unbind", payload.argsz, err, 0);
	if (pasid_table && bind_pt())
		give_up("cannot bind the table again");
}

static void size_cases(void)
{
	step("The four size cases, for struct %s", pasid_table ?
	     "iommu_pasid_table_config" : "iommu_gpasid_bind_data");
	printf("      %-34s %8s %13s   %s\n", "case", "argsz", "kernel knows",
	       "result");
	size_case("1 exact", 0, 0, 0);
	older_user();
	size_case("3 newer user, new part is zero", 64, 0, 0);
	size_case("3 newer user, new part is in use", 64, 1, E2BIG);
	size_case("4 misbehaving, cut inside", -4, 0, EINVAL);
}

static void unbind_page_table(void)
{
	struct outcome out;
	__u64 va, gpa;

	step("Unbind, and the device is stopped");
	if (unbind_pt())
		give_up("cannot unbind");
	scratch_addr = scratch;
	show_state();
	/* The guest's table still says so. */
	va = mapped_by_guest(&gpa);
	out = device_writes(va, "too late");
	show("at guest-virtual", "%#llx: %s", (unsigned long long)va, out.text);
	check(!out.done, "the device is stopped");
	if (pasid != NO_PASID &&
	    _test_cmd_pasid_free(vmm.container, pasid, pasid))
		give_up("cannot free the PASID");
}

int main(int argc, char **argv)
{
	__u64 page, other, later;
	struct utsname uts;
	size_t i;

	for (i = 0; argc > 1 && i < sizeof(all_hw) / sizeof(*all_hw); i++)
		if (!strcmp(argv[1], all_hw[i]->option))
			hw = all_hw[i];
	if (argc > 1 && strcmp(argv[1], hw->option)) {
		fprintf(stderr, "usage: %s [mock|smmuv3|vtd]\n", argv[0]);
		return 2;
	}

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!hw->present()) {
		printf("There is no %s on this machine.\n", hw->name);
		return EXIT_SKIP;
	}
	/* The waits are bounded, this is for what has none */
	alarm(60);
	uname(&uts);
	printf("A guest page table translates a device's DMA\n");
	printf("Linux %s on %s, %s\n", uts.release, uts.machine, hw->name);

	open_container();
	page = guest_page(&vmm);
	make_guest(page);
	other = guest_page(&vmm);
	later = guest_page(&vmm);
	bind_page_table(page);
	do_dma(page);
	change_entry(page, other);
	if (has(IOMMU_NESTING_FEAT_PAGE_REQUEST))
		page_request(later);
	else
		page_fault(later);
	size_cases();
	unbind_page_table();

	close_fd(&fault);
	vmm_close(&vmm);
	if (nr_wrong)
		printf("\n%d things are not as they should be.\n", nr_wrong);
	else
		printf("\nAll %d steps did what they should.\n", nr_steps);
	printf("%s 1 demonstration\n", nr_wrong ? "not ok" : "ok");
	return nr_wrong ? 1 : 0;
}
