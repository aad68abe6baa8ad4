/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's "edu" device, bound to vfio-pci: a device that does real DMA, for the
 * tests of the IOMMU user API on emulated IOMMUs. It copies up to 4 KiB between
 * the bus and a buffer of its own, 100 ms after it was told to, and sends an
 * interrupt on request. See docs/specs/edu.rst in QEMU.
 *
 * Start QEMU with -device edu,dma_mask=0xffffffffffffffff, or the device cuts
 * addresses to 28 bits.
 */
#ifndef __SELFTEST_IOMMU_UAPI_EDU
#define __SELFTEST_IOMMU_UAPI_EDU

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#define EDU_MAX			4
#define EDU_SYSFS		"/sys/bus/pci/devices/"

/* Registers in BAR 0 */
#define EDU_RAISE_IRQ		0x60
#define EDU_ACK_IRQ		0x64
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_LEN		0x90
#define EDU_DMA_CMD		0x98
#define EDU_DMA_RUN		1
#define EDU_DMA_TO_BUS		2
/* Where the device has its own buffer */
#define EDU_BUF			0x40000
#define EDU_BUF_SIZE		0x1000
#define EDU_BAR_SIZE		0x1000

struct edu {
	int fd;
	volatile uint8_t *bar;
	size_t bar_size;
};

/* PCI addresses of the machine's edu devices, in order */
static char edu_names[EDU_MAX][32];
static int edu_count;

static int edu_sysfs_write(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);
	ssize_t len = strlen(value), ret;

	if (fd < 0)
		return -1;
	ret = write(fd, value, len);
	close(fd);
	return ret == len ? 0 : -1;
}

/* Is the PCI device @name one with the device ID @id? */
static bool edu_is(const char *name, const char *id)
{
	char path[300], is[16] = {};
	int fd;

	snprintf(path, sizeof(path), EDU_SYSFS "%s/device", name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	if (read(fd, is, sizeof(is) - 1) < 0)
		is[0] = 0;
	close(fd);
	return !strncmp(is, id, strlen(id));
}

static int edu_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* IOMMU group of a device, -1 if it has none */
static int edu_group(const char *name)
{
	char path[300], link[256];
	ssize_t len;

	snprintf(path, sizeof(path), EDU_SYSFS "%s/iommu_group", name);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return -1;
	link[len] = 0;
	return atoi(strrchr(link, '/') + 1);
}

static bool edu_has_driver(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), EDU_SYSFS "%s/driver", name);
	return !access(path, F_OK);
}

/* Give the device to vfio-pci. With a device tree, that makes its group too. */
static int edu_to_vfio(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), EDU_SYSFS "%s/driver_override", name);
	if (edu_sysfs_write(path, "vfio-pci"))
		return -1;
	if (edu_has_driver(name))
		return 0;
	return edu_sysfs_write("/sys/bus/pci/drivers_probe", name);
}

/* Names of the devices with the ID @id, in order: how many there are, up to @max */
static int edu_list(const char *id, char (*names)[32], int max)
{
	DIR *dir = opendir(EDU_SYSFS);
	struct dirent *ent;
	int count = 0;

	if (!dir)
		return 0;
	while ((ent = readdir(dir)) && count < max)
		if (edu_is(ent->d_name, id))
			snprintf(names[count++], sizeof(*names), "%.31s",
				 ent->d_name);
	closedir(dir);
	qsort(names, count, sizeof(*names), edu_compare);
	return count;
}

/* Find the devices; returns how many are bound to vfio-pci behind an IOMMU */
static int edu_find(void)
{
	int i, usable = 0;

	edu_count = edu_list("0x11e8", edu_names, EDU_MAX);
	for (i = 0; i < edu_count; i++)
		if (!edu_to_vfio(edu_names[i]) && edu_group(edu_names[i]) >= 0)
			usable++;
	return usable;
}

static int edu_open_group(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/%d", edu_group(name));
	return open(path, O_RDWR | O_CLOEXEC);
}

/* Let the device do DMA, and map @size bytes of its registers */
static int edu_start_size(struct edu *edu, int fd, size_t size)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	struct vfio_region_info bar = {
		.argsz = sizeof(bar),
		.index = VFIO_PCI_BAR0_REGION_INDEX,
	};
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	edu->fd = fd;
	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &bar))
		return -1;
	if (pwrite(fd, &command, sizeof(command),
		   config.offset + PCI_COMMAND) != sizeof(command))
		return -1;
	edu->bar_size = size;
	edu->bar = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			bar.offset);
	return edu->bar == MAP_FAILED ? -1 : 0;
}

static int edu_start(struct edu *edu, int fd)
{
	return edu_start_size(edu, fd, EDU_BAR_SIZE);
}

static void edu_stop(struct edu *edu)
{
	if (edu->bar && edu->bar != MAP_FAILED)
		munmap((void *)edu->bar, edu->bar_size);
	edu->bar = NULL;
}

static uint32_t edu_read32(struct edu *edu, unsigned int reg)
{
	return *(volatile uint32_t *)(edu->bar + reg);
}

static void edu_write32(struct edu *edu, unsigned int reg, uint32_t value)
{
	*(volatile uint32_t *)(edu->bar + reg) = value;
}

static void edu_write64(struct edu *edu, unsigned int reg, uint64_t value)
{
	*(volatile uint64_t *)(edu->bar + reg) = value;
}

static void edu_dma_begin(struct edu *edu, bool to_bus, uint64_t addr,
			  uint32_t buf, uint32_t len)
{
	edu_write64(edu, EDU_DMA_SRC, to_bus ? EDU_BUF + buf : addr);
	edu_write64(edu, EDU_DMA_DST, to_bus ? addr : EDU_BUF + buf);
	edu_write64(edu, EDU_DMA_LEN, len);
	/* The device reads memory that was written before this */
	__sync_synchronize();
	edu_write64(edu, EDU_DMA_CMD,
		    EDU_DMA_RUN | (to_bus ? EDU_DMA_TO_BUS : 0));
}

/* The device does not tell whether the transaction was aborted. */
static int edu_dma_end(struct edu *edu)
{
	struct timespec ms = { .tv_nsec = 5000000 };
	int i;

	for (i = 0; i < 2000; i++) {
		if (!(edu_read32(edu, EDU_DMA_CMD) & EDU_DMA_RUN)) {
			__sync_synchronize();
			return 0;
		}
		nanosleep(&ms, NULL);
	}
	errno = ETIMEDOUT;
	return -1;
}

static int edu_dma(struct edu *edu, bool to_bus, uint64_t addr, uint32_t buf,
		   uint32_t len)
{
	edu_dma_begin(edu, to_bus, addr, buf, len);
	return edu_dma_end(edu);
}

/* Have the first interrupt of a kind signal an eventfd: its descriptor, or -1 */
static int edu_irq_fd(struct edu *edu, int index)
{
	char buf[sizeof(struct vfio_irq_set) + sizeof(int32_t)]
		__attribute__((aligned(8)));
	struct vfio_irq_set *set = (struct vfio_irq_set *)buf;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -1;
	set->argsz = sizeof(buf);
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = index;
	set->start = 0;
	set->count = 1;
	memcpy(set->data, &fd, sizeof(int32_t));
	if (!ioctl(edu->fd, VFIO_DEVICE_SET_IRQS, set))
		return fd;
	close(fd);
	return -1;
}

static bool edu_irq_wait(int fd)
{
	struct timespec ms = { .tv_nsec = 5000000 };
	uint64_t count = 0;
	int i;

	for (i = 0; i < 60 && read(fd, &count, sizeof(count)) < 0; i++)
		nanosleep(&ms, NULL);
	return count;
}

/* Raise the interrupt; true if it arrives */
static bool edu_irq_arrives(struct edu *edu, int fd)
{
	bool arrived;

	edu_write32(edu, EDU_RAISE_IRQ, 1);
	arrived = edu_irq_wait(fd);
	edu_write32(edu, EDU_ACK_IRQ, 1);
	return arrived;
}

#endif /* __SELFTEST_IOMMU_UAPI_EDU */
