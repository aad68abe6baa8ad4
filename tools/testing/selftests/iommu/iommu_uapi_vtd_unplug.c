// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API on VT-d: the slot of a device is switched off. Not among the
 * programs that are run by default, because the device does not come back without
 * somebody who plugs it in again. See the head of iommu_uapi_vtd.h.
 */
#define _GNU_SOURCE
#include <dirent.h>

#include "iommu_uapi_vtd.h"

#define SLOTS	"/sys/bus/pci/slots"

/* The file that has the power of the slot that @device is in */
static bool find_slot(const char *device, char *path, size_t size)
{
	char address[32] = {};
	struct dirent *entry;
	bool found = false;
	DIR *dir;
	int fd;

	dir = opendir(SLOTS);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		snprintf(path, size, SLOTS "/%s/address", entry->d_name);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		/* Domain, bus and device: "0000:01:00" */
		found = read(fd, address, sizeof(address) - 1) > 10 &&
			!strncmp(address, device, 10);
		close(fd);
		snprintf(path, size, SLOTS "/%s/power", entry->d_name);
	}
	closedir(dir);
	return found;
}

FIXTURE(vtd_unplug)
{
};

FIXTURE_SETUP(vtd_unplug)
{
	if (nr_dev < 2)
		SKIP(return, "not enough test devices behind an IOMMU");
}

FIXTURE_TEARDOWN(vtd_unplug)
{
}

TEST_F_TIMEOUT(vtd_unplug, slot_power, 60)
{
	char power[300], device[128];
	int n;

	for (n = 0; n < testdev_count && !is_behind_port(n); n++)
		;
	if (n == testdev_count || !find_slot(testdev_names[n], power,
					     sizeof(power)))
		SKIP(return, "no test device in a slot");
	device_goes(_metadata, n, power, "0");
	EXPECT_EQ(0, param_get(power));
	snprintf(device, sizeof(device), PCI_SYSFS "%s", testdev_names[n]);
	EXPECT_NE(0, access(device, F_OK));

	/* The others have not noticed. */
	check_clean(_metadata, n ? 0 : 1);
}

TEST_HARNESS_MAIN
