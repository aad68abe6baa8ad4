/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * PCI devices bound to vfio-pci, for the tests of the IOMMU user API on emulated
 * IOMMUs: finding them, bringing them into a container or to iommufd, registers
 * and interrupts.
 */
#ifndef __SELFTEST_IOMMU_UAPI_PCI
#define __SELFTEST_IOMMU_UAPI_PCI

#include <dirent.h>
#include <sys/eventfd.h>

#include <linux/iommufd.h>
#include <linux/pci_regs.h>

#include "iommu_uapi_utils.h"

#define PCI_SYSFS		"/sys/bus/pci/devices/"

/* ---------------------------------------------------------------------
 * Devices of the machine, by their names in sysfs
 */

/* Does the attribute @attr of the PCI device @name begin with @value? */
static bool pci_attr_is(const char *name, const char *attr, const char *value)
{
	char path[300], is[16] = {};
	int fd;

	snprintf(path, sizeof(path), PCI_SYSFS "%s/%s", name, attr);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	if (read(fd, is, sizeof(is) - 1) < 0)
		is[0] = 0;
	close(fd);
	return !strncmp(is, value, strlen(value));
}

static int pci_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* IOMMU group of a device, -1 if it has none */
static int pci_group(const char *name)
{
	char path[300], link[256];
	ssize_t len;

	snprintf(path, sizeof(path), PCI_SYSFS "%s/iommu_group", name);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return -1;
	link[len] = 0;
	return atoi(strrchr(link, '/') + 1);
}

static bool pci_has_driver(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), PCI_SYSFS "%s/driver", name);
	return !access(path, F_OK);
}

/* Give the device to vfio-pci. With a device tree, that makes its group too. */
static int pci_to_vfio(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), PCI_SYSFS "%s/driver_override", name);
	if (param_write(path, "vfio-pci"))
		return -1;
	if (pci_has_driver(name))
		return 0;
	return param_write("/sys/bus/pci/drivers_probe", name);
}

/* Names of the devices with the ID @id, in order: how many there are, up to @max */
static int pci_list(const char *id, char (*names)[32], int max)
{
	DIR *dir = opendir(PCI_SYSFS);
	struct dirent *ent;
	int count = 0;

	if (!dir)
		return 0;
	while ((ent = readdir(dir)) && count < max)
		if (pci_attr_is(ent->d_name, "device", id))
			snprintf(names[count++], sizeof(*names), "%.31s",
				 ent->d_name);
	closedir(dir);
	qsort(names, count, sizeof(*names), pci_compare);
	return count;
}

/* Give them to vfio-pci as well; returns how many of @count are behind an IOMMU */
static int pci_list_to_vfio(const char *id, char (*names)[32], int max,
			    int *count)
{
	int i, usable = 0;

	*count = pci_list(id, names, max);
	for (i = 0; i < *count; i++)
		if (!pci_to_vfio(names[i]) && pci_group(names[i]) >= 0)
			usable++;
	return usable;
}

/* ---------------------------------------------------------------------
 * Containers and iommufd
 */
static int pci_open_group(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/%d", pci_group(name));
	return open(path, O_RDWR | O_CLOEXEC);
}

/*
 * Bring a device into the container, as number @n. The first decides on @type,
 * which is zero for the others.
 */
static int vmm_add_pci(struct vmm *vmm, int type, int n, const char *name)
{
	vmm->group[n] = pci_open_group(name);
	if (vmm->group[n] < 0 ||
	    ioctl(vmm->group[n], VFIO_GROUP_SET_CONTAINER, &vmm->container) ||
	    (type && ioctl(vmm->container, VFIO_SET_IOMMU, type)))
		return -1;
	vmm->dev[n] = ioctl(vmm->group[n], VFIO_GROUP_GET_DEVICE_FD, name);
	return vmm->dev[n] < 0 ? -1 : 0;
}

/* A new container with one device, as number @n */
static int vmm_open_pci(struct vmm *vmm, int type, int n, const char *name)
{
	vmm->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (vmm->container < 0 || vmm_add_pci(vmm, type, n, name))
		return -1;
	return vmm_map_ram(vmm);
}

static int pci_open_cdev(const char *name)
{
	struct dirent *ent;
	char path[300];
	int fd = -1;
	DIR *dir;

	snprintf(path, sizeof(path), PCI_SYSFS "%s/vfio-dev", name);
	dir = opendir(path);
	if (!dir)
		return -1;
	while ((ent = readdir(dir))) {
		if (strncmp(ent->d_name, "vfio", 4))
			continue;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%.30s",
			 ent->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	closedir(dir);
	return fd;
}

/* What iommufd knows of a device and of guest memory */
struct iommufd_ids {
	int fd;
	__u32 dev;
	__u32 ioas;
};

/* Give device 0 to iommufd, and have guest memory mapped there */
static int iommufd_open_pci(struct vmm *vmm, const char *name,
			    struct iommufd_ids *ids)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.user_va = (uintptr_t)vmm->ram,
		.length = GUEST_RAM_SIZE,
		.iova = GUEST_RAM,
	};

	ids->fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	vmm->dev[0] = pci_open_cdev(name);
	if (ids->fd < 0 || vmm->dev[0] < 0)
		return -1;
	bind.iommufd = ids->fd;
	if (ioctl(vmm->dev[0], VFIO_DEVICE_BIND_IOMMUFD, &bind) ||
	    ioctl(ids->fd, IOMMU_IOAS_ALLOC, &ioas))
		return -1;
	ids->dev = bind.out_devid;
	ids->ioas = ioas.out_ioas_id;
	map.ioas_id = ids->ioas;
	return ioctl(ids->fd, IOMMU_IOAS_MAP, &map);
}

/* Attach device 0 to an IOAS or a hardware page table */
static int iommufd_attach(struct vmm *vmm, __u32 pt_id)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = pt_id,
	};

	return ioctl(vmm->dev[0], VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

/* Give iommufd another device, as number @n, and attach it to guest memory */
static int iommufd_add_pci(struct vmm *vmm, int n, const char *name,
			   const struct iommufd_ids *ids)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = ids->fd,
	};
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = ids->ioas,
	};

	vmm->dev[n] = pci_open_cdev(name);
	if (vmm->dev[n] < 0 ||
	    ioctl(vmm->dev[n], VFIO_DEVICE_BIND_IOMMUFD, &bind))
		return -1;
	return ioctl(vmm->dev[n], VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

/* ---------------------------------------------------------------------
 * Registers and interrupts. The offsets of regions need 64 bits also in 32-bit
 * processes.
 */
struct pci_dev {
	int fd;
	/* BAR 0 */
	volatile uint8_t *bar;
	size_t bar_size;
};

static void *pci_map(int fd, int index, size_t size)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = index,
	};
	void *map;

	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info))
		return NULL;
	map = mmap64(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		     info.offset);
	return map == MAP_FAILED ? NULL : map;
}

/* Let the device do DMA, and map @size bytes of its registers */
static int pci_start(struct pci_dev *dev, int fd, size_t size)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	dev->fd = fd;
	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &config))
		return -1;
	if (pwrite64(fd, &command, sizeof(command),
		     config.offset + PCI_COMMAND) != sizeof(command))
		return -1;
	dev->bar_size = size;
	dev->bar = pci_map(fd, VFIO_PCI_BAR0_REGION_INDEX, size);
	return dev->bar ? 0 : -1;
}

static void pci_stop(struct pci_dev *dev)
{
	if (dev->bar)
		munmap((void *)dev->bar, dev->bar_size);
	dev->bar = NULL;
}

static uint32_t pci_read32(struct pci_dev *dev, unsigned int reg)
{
	return *(volatile uint32_t *)(dev->bar + reg);
}

static void pci_write32(struct pci_dev *dev, unsigned int reg, uint32_t value)
{
	*(volatile uint32_t *)(dev->bar + reg) = value;
}

static void pci_write64(struct pci_dev *dev, unsigned int reg, uint64_t value)
{
	*(volatile uint64_t *)(dev->bar + reg) = value;
}

#define PCI_MAX_VECTORS		4

/* Have the first @count interrupts of a kind signal an eventfd each */
static int pci_irq_fds(struct pci_dev *dev, int index, int *fds, int count)
{
	char buf[sizeof(struct vfio_irq_set) +
		 PCI_MAX_VECTORS * sizeof(int32_t)]
		__attribute__((aligned(8)));
	struct vfio_irq_set *set = (struct vfio_irq_set *)buf;
	int i;

	set->argsz = sizeof(*set) + count * sizeof(int32_t);
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = index;
	set->start = 0;
	set->count = count;
	for (i = 0; i < count; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		memcpy(set->data + i * sizeof(int32_t), &fds[i],
		       sizeof(int32_t));
	}
	if (!ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, set))
		return 0;
	for (i = 0; i < count; i++)
		close_fd(&fds[i]);
	return -1;
}

/* The first one alone: the eventfd, or -1 */
static int pci_irq_fd(struct pci_dev *dev, int index)
{
	int fd;

	return pci_irq_fds(dev, index, &fd, 1) ? -1 : fd;
}

static bool pci_irq_wait(int fd)
{
	uint64_t count = 0;
	int i;

	for (i = 0; i < 60 && read(fd, &count, sizeof(count)) < 0; i++)
		sleep_ms(5);
	return count;
}

#endif /* __SELFTEST_IOMMU_UAPI_PCI */
