package cluster

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// network is the bridge that the pods of one cluster are plugged into. It routes nothing: pods reach
// each other and this machine, and nothing else.
type network struct{ number int }

// claimNetwork makes a bridge. That the kernel refuses a second one of the same name is what
// keeps two clusters out of each other's addresses.
func claimNetwork(owner string) (network, error) {
	var errs []error
	for number := range 250 {
		n := network{number}
		if err := ip("link", "add", n.bridge(), "alias", owner, "type", "bridge"); err != nil {
			errs = append(errs, err)
			continue
		}
		err := errors.Join(
			ip("address", "add", n.gateway()+"/24", "dev", n.bridge()),
			ip("link", "set", n.bridge(), "up"))
		if err != nil {
			return network{}, errors.Join(err, n.release())
		}
		return n, nil
	}
	return network{}, fmt.Errorf("no bridge could be made: %w", errs[len(errs)-1])
}

func (n network) bridge() string  { return fmt.Sprintf("hullmark%d", n.number) }
func (n network) gateway() string { return fmt.Sprintf("10.244.%d.1", n.number) }

func (n network) release() error { return ip("link", "delete", n.bridge()) }

// cniConfig plugs a pod into the bridge with a free address and a default route to this machine.
func (n network) cniConfig(dataDir string) string {
	return fmt.Sprintf(`{
  "cniVersion": "0.4.0",
  "name": %[1]q,
  "plugins": [{
    "type": "bridge",
    "bridge": %[1]q,
    "isGateway": false,
    "ipam": {
      "type": "host-local",
      "dataDir": %[2]q,
      "ranges": [[{"subnet": "10.244.%[3]d.0/24", "gateway": %[4]q}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}
`, n.bridge(), dataDir, n.number, n.gateway())
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
