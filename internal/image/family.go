package image

import (
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
)

// Family is the sort of base that an image is built on, as far as its inventories tell: the
// os-release identifier of a distribution ("debian", "ubuntu", "alpine", "wolfi") or one of those
// below.
type Family string

// The families that are not a distribution's identifier.
const (
	Scratch    Family = "scratch"    // neither os-release nor a package database
	Distroless Family = "distroless" // dpkg's status.d and no status
	Chiselled  Family = "chiselled"  // Ubuntu cut to slices, with chisel's manifest
	UBI        Family = "ubi"        // Red Hat's base images
	Unknown    Family = "unknown"    // a package database without os-release, or layers that could not be read
)

// familyOf decides from the os-release and the files that declare components.
func familyOf(os *evidence.OSRelease, declaring map[string]bool) Family {
	switch {
	case declaring["var/lib/chisel/manifest.wall"]:
		return Chiselled
	case !declaring["var/lib/dpkg/status"] && hasStatusD(declaring):
		return Distroless
	case os != nil && os.ID == "rhel":
		return UBI
	case os != nil:
		return Family(os.ID)
	case hasDatabase(declaring):
		return Unknown
	}
	return Scratch
}

func hasStatusD(declaring map[string]bool) bool {
	for p := range declaring {
		if strings.HasPrefix(p, dpkgStatusDir) {
			return true
		}
	}
	return false
}

func hasDatabase(declaring map[string]bool) bool {
	for p := range declaring {
		if k := classify(p); k == dpkgStatus || k == apkInstalled || k == rpmDatabase {
			return true
		}
	}
	return false
}
