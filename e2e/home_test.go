package e2e

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
)

// setup gives a transcript a home of its own, so that no client reads or leaves anything outside
// the transcript's folder.
func (w world) setup(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	containers := filepath.Join(home, "containers")
	vars := map[string]string{
		"PATH":     w.path,
		"HOME":     home,
		"NO_COLOR": "1",
		// npm and pnpm
		"npm_config_userconfig":      filepath.Join(home, ".npmrc"),
		"npm_config_globalconfig":    filepath.Join(home, "global.npmrc"),
		"npm_config_cache":           filepath.Join(home, "npm-cache"),
		"npm_config_update_notifier": "false",
		"npm_config_fund":            "false",
		// yarn and bun
		"YARN_GLOBAL_FOLDER":    filepath.Join(home, "yarn"),
		"YARN_ENABLE_TELEMETRY": "0",
		"BUN_INSTALL":           filepath.Join(home, "bun"),
		"BUN_INSTALL_CACHE_DIR": filepath.Join(home, "bun-cache"),
		"DO_NOT_TRACK":          "1",
		// gem and bundler
		"GEM_HOME":                    filepath.Join(home, "gems"),
		"GEMRC":                       filepath.Join(home, ".gemrc"),
		"BUNDLE_USER_HOME":            filepath.Join(home, ".bundle"),
		"BUNDLE_SILENCE_ROOT_WARNING": "1",
		"XDG_CONFIG_HOME":             filepath.Join(home, ".config"),
		"XDG_DATA_HOME":               filepath.Join(home, ".local", "share"),
		"XDG_CACHE_HOME":              filepath.Join(home, ".cache"),
		"XDG_STATE_HOME":              filepath.Join(home, ".local", "state"),
		"XDG_RUNTIME_DIR":             filepath.Join(home, "run"),
		"DOCKER_CONFIG":               filepath.Join(home, ".docker"),
		"REGISTRY_AUTH_FILE":          filepath.Join(home, "auth.json"),
		"CONTAINERS_STORAGE_CONF":     filepath.Join(containers, "storage.conf"),
		"CONTAINERS_CONF":             filepath.Join(containers, "containers.conf"),
		"BUILDAH_ISOLATION":           "chroot",
		"SOURCE_DATE_EPOCH":           "1767225600",
	}
	for name, value := range vars {
		env.Setenv(name, value)
	}
	for _, dir := range []string{containers, filepath.Join(home, "run"), filepath.Join(home, ".docker")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	env.Values[foldersKey{}] = map[string]*httptest.Server{}
	env.Values[backgroundKey{}] = map[string]*background{}
	env.Values[issuerKey{}] = map[string]*oidctest.Issuer{}
	env.Values[devKey{}] = &dev{env: env, data: filepath.Join(env.WorkDir, "data")}
	env.Values[upstreamKey{}] = &upstreams{}
	env.Values[sigstoreKey{}] = &sigstore{}
	return writeContainersConf(containers)
}

// writeContainersConf keeps the images of podman and buildah in a folder of the transcript's own,
// by the one storage driver that works on every kernel and file system.
func writeContainersConf(dir string) error {
	storage := fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n",
		filepath.Join(dir, "graph"), filepath.Join(dir, "run"))
	if err := os.WriteFile(filepath.Join(dir, "storage.conf"), []byte(storage), 0o600); err != nil {
		return err
	}
	engine := fmt.Sprintf("[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nruntime = \"runc\"\ntmp_dir = %q\n",
		filepath.Join(dir, "tmp"))
	return os.WriteFile(filepath.Join(dir, "containers.conf"), []byte(engine), 0o600)
}
