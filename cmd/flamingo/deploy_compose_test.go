package main

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// composition is a file of compose, as far as ours uses the format.
type composition struct {
	Name     string
	Node     any `yaml:"x-node"`
	Settings any `yaml:"x-settings"`
	Services map[string]composed
	Networks map[string]struct {
		IPAM struct {
			Config []struct {
				Subnet  netip.Prefix
				IPRange netip.Prefix `yaml:"ip_range"`
			}
		}
	}
	Volumes map[string]struct{}
	Secrets map[string]struct{ File string }
}

// composed is a service of it.
type composed struct {
	Build           struct{ Context, Dockerfile string }
	Image, Restart  string
	Command         []string
	StopGracePeriod time.Duration `yaml:"stop_grace_period"`
	Environment     map[string]string
	Secrets         []string
	Ulimits         map[string]int
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	Volumes, Ports  []string
	Networks        any
}

// settingsOf returns the settings of a service as flags; its other variables must be
// those of commands that ask a node.
func settingsOf(t *testing.T, env map[string]string) (args, faults []string) {
	flags := flagsOf(t)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		known := name == "FLAMINGO_ADDR"
		for _, f := range flags {
			if envName(f) == name {
				args, known = append(args, "--"+f.Name+"="+env[name]), true
			}
		}
		if strings.HasPrefix(name, "FLAMINGO_") && !known {
			faults = append(faults, name+" is no setting")
		}
	}
	return args, faults
}

// composeFaults are what is wrong with a file of compose.
func composeFaults(t *testing.T, text string) []string {
	var c composition
	faults := strictly(text, &c)
	files := deployFiles(t)
	nodes := 0
	for name, s := range c.Services {
		for _, secret := range s.Secrets {
			if c.Secrets[secret].File == "" {
				faults = append(faults, name+": no secret "+secret)
			}
		}
		for _, volume := range s.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			_, isVolume := c.Volumes[from]
			if _, err := os.Stat(filepath.Join("..", "..", deployDir, from)); err != nil && !isVolume {
				faults = append(faults, name+": no volume "+from)
			}
		}
		if s.Image != "flamingo" {
			continue
		}
		nodes++
		args, unknown := settingsOf(t, s.Environment)
		faults = append(faults, unknown...)
		for i := range args {
			args[i] = files.Replace(args[i])
		}
		faults = append(faults, nodeFaults(t, args, s.StopGracePeriod)...)
		address := fmt.Sprint(s.Networks)
		for _, key := range []string{"FLAMINGO_CLUSTER", "FLAMINGO_ADMIN", "FLAMINGO_ADDR"} {
			host, _, _ := strings.Cut(s.Environment[key], ":")
			if !strings.Contains(address, "ipv4_address:"+host+"]") {
				faults = append(faults, fmt.Sprintf("%s of %s is not at %s", key, name, address))
			}
		}
		if s.Environment["FLAMINGO_NAME"] != name || !strings.Contains(s.Environment["FLAMINGO_JOIN"], s.Environment["FLAMINGO_CLUSTER"]) {
			faults = append(faults, name+" is not who others look for")
		}
	}
	if nodes != 3 {
		faults = append(faults, fmt.Sprintf("%d nodes", nodes))
	}
	return faults
}

func TestComposeRunsNodes(t *testing.T) {
	mustFind(t, readPage(t, deployDir+"/compose.yaml"), composeFaults, []change{
		{"FLAMINGO_DRAIN_WAIT: 10s", "FLAMINGO_DRAIN_PAUSE: 10s", "FLAMINGO_DRAIN_PAUSE is no setting"},
		{"FLAMINGO_DRAIN_WAIT: 10s", "FLAMINGO_DRAIN_WAIT: 20s", "to end"},
		{"FLAMINGO_CLUSTER_KEY_FILE: /run/secrets/cluster-key", "FLAMINGO_NAME: x", "beyond loopback"},
		{"ipv4_address: 10.0.0.12", "ipv4_address: 10.0.0.22", "birch is not at"},
		{"FLAMINGO_NAME: cedar", "FLAMINGO_NAME: oak", "cedar is not who"},
		{"secrets: [cluster-key, token]", "secrets: [key, token]", "no secret key"},
		{"./haproxy.cfg:", "./haproxy.conf:", "no volume ./haproxy.conf"},
		{"read_only: true", "readonly: true", "readonly"},
	})
}

func TestPrometheusOfComposeScrapesTheNodes(t *testing.T) {
	var config struct {
		Global struct {
			ScrapeInterval     string `yaml:"scrape_interval"`
			EvaluationInterval string `yaml:"evaluation_interval"`
		}
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string `yaml:"job_name"`
			Authorization struct {
				CredentialsFile string `yaml:"credentials_file"`
			}
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	if found := strictly(readPage(t, deployDir+"/prometheus.yaml"), &config); found != nil {
		t.Fatal(found)
	}
	compose := readPage(t, deployDir+"/compose.yaml")
	for _, target := range config.ScrapeConfigs[0].StaticConfigs[0].Targets {
		if !strings.Contains(compose, "FLAMINGO_ADMIN: "+target+"\n") {
			t.Errorf("%s is the admin address of no node", target)
		}
	}
	if job := config.ScrapeConfigs[0].JobName; job != "flamingo" { // of board and alerts
		t.Errorf("job %s", job)
	}
	for _, path := range append(config.RuleFiles, config.ScrapeConfigs[0].Authorization.CredentialsFile) {
		if !strings.Contains(compose, ":"+path+":") && !strings.HasPrefix(path, "/run/secrets/") {
			t.Errorf("compose does not mount %s", path)
		}
	}
}
