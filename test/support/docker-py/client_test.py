"""What users of docker-py rely on, asked of the engine that DOCKER_HOST names, which has an image `busybox` and is
there for these tests alone: every container, volume and network goes.

docker-py's own integration tests look at the same things; `test/support/docker-py.ts` says how to run those, too.
"""

import io
import os
import signal
import struct
import tarfile
import threading
import time
import uuid

import docker
import pytest
import requests
from docker.types import IPAMConfig, IPAMPool, LogConfig, Mount
from docker.utils.socket import next_frame_header, read_exactly

IMAGE = "busybox"
SECOND = 1_000_000_000


def name():
    return "py-" + uuid.uuid4().hex[:12]


def remove(container):
    """One with --rm may be about to go by itself."""
    try:
        container.remove(force=True, v=True)
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError as error:
        if error.status_code != 409:
            raise
        try:
            container.wait(condition="removed")
        except docker.errors.NotFound:
            pass


@pytest.fixture
def client():
    client = docker.from_env()
    yield client
    for container in client.containers.list(all=True, ignore_removed=True):
        remove(container)
    for network in client.networks.list():
        if network.name not in ("bridge", "host", "none"):
            network.remove()
    for volume in client.volumes.list():
        volume.remove()
    client.close()


@pytest.fixture
def api(client):
    return client.api


def run(client, *args, **options):
    """A container with nothing to wait for: stops at once."""
    return client.containers.run(IMAGE, *args, detach=True, **options)


def output(container):
    assert container.wait()["StatusCode"] == 0
    return container.logs()


def sleeper(client, **options):
    return run(client, ["sleep", "1000"], stop_signal="SIGKILL", **options)


def tar_of(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


class TestCreate:
    def test_appears_in_the_list(self, api):
        before = len(api.containers(all=True))
        created = api.create_container(IMAGE, "true")
        after = api.containers(all=True)
        assert len(after) == before + 1
        [listed] = [one for one in after if one["Id"] == created["Id"]]
        assert listed["Command"] == "true" and listed["Image"] == IMAGE and listed["Status"] == "Created"
        assert len(api.containers(all=True, trunc=True)[0]["Id"]) == 12

    @pytest.mark.parametrize(
        "asked, path, want",
        [
            ({"pid_mode": "host"}, "PidMode", "host"),
            ({"tmpfs": {"/tmp1": "size=3M"}}, "Tmpfs", {"/tmp1": "size=3M"}),
            ({"isolation": "default"}, "Isolation", "default"),
            ({"auto_remove": True}, "AutoRemove", True),
            ({"init": True}, "Init", True),
            ({"runtime": "bosun"}, "Runtime", "bosun"),
            ({}, "Runtime", "runc"),
            ({"mem_limit": "700M", "memswap_limit": "1G"}, "Memory", 700 << 20),
            ({"mem_limit": "700M", "memswap_limit": "1G"}, "MemorySwap", 1 << 30),
            ({"device_cgroup_rules": ["c 7:128 rwm"]}, "DeviceCgroupRules", ["c 7:128 rwm"]),
            ({"group_add": [1000, "1001"]}, "GroupAdd", ["1000", "1001"]),
            ({"read_only": True}, "ReadonlyRootfs", True),
            ({"privileged": True}, "Privileged", True),
            ({"log_config": LogConfig(type="json-file", config={"max-file": "100"})}, "LogConfig",
             {"Type": "json-file", "Config": {"max-file": "100"}}),
            ({"log_config": LogConfig(type="", config={"max-file": "100"})}, "LogConfig",
             {"Type": "json-file", "Config": {"max-file": "100"}}),
            ({"log_config": LogConfig(type="json-file", config=None)}, "LogConfig", {"Type": "json-file", "Config": {}}),
            ({"restart_policy": {"Name": "always", "MaximumRetryCount": 0}}, "RestartPolicy",
             {"Name": "always", "MaximumRetryCount": 0}),
            ({"cpuset_cpus": "0", "cpu_shares": 512, "cpu_quota": 50000, "cpu_period": 100000}, "CpuQuota", 50000),
            ({"oom_score_adj": 500}, "OomScoreAdj", 500),
            ({"dns": ["9.9.9.9"], "dns_search": ["example.org"], "dns_opt": ["ndots:3"]}, "DnsOptions", ["ndots:3"]),
            ({"extra_hosts": {"somewhere": "10.1.2.3"}}, "ExtraHosts", ["somewhere:10.1.2.3"]),
            ({"sysctls": {"net.ipv4.ip_forward": "1"}}, "Sysctls", {"net.ipv4.ip_forward": "1"}),
            ({"shm_size": "32M"}, "ShmSize", 32 << 20),
            ({"ulimits": [docker.types.Ulimit(name="nofile", soft=64, hard=128)]}, "Ulimits",
             [{"Name": "nofile", "Soft": 64, "Hard": 128}]),
            ({"cap_add": ["NET_ADMIN"], "cap_drop": ["ALL"]}, "CapDrop", ["ALL"]),
        ],
    )
    def test_gives_back_what_was_asked(self, api, asked, path, want):
        config = api.create_host_config(network_mode="none", **asked)
        made = api.create_container(IMAGE, ["true"], host_config=config)
        assert api.inspect_container(made)["HostConfig"][path] == want
        api.start(made)  # it means it

    def test_environment_may_lack_values(self, api):
        made = api.create_container(IMAGE, ["true"], environment={"Bare": None, "Full": "one", "Empty": ""})
        env = api.inspect_container(made)["Config"]["Env"]
        assert sorted(one for one in env if not one.startswith("PATH=")) == ["Bare", "Empty=", "Full=one"]

    def test_stop_timeout_and_health_check(self, api):
        made = api.create_container(IMAGE, ["sleep", "1000"], stop_signal="SIGKILL", stop_timeout=25, healthcheck={"test": 'echo "hello"'})
        config = api.inspect_container(made)["Config"]
        assert config["StopTimeout"] == 25
        assert config["Healthcheck"]["Test"] == ["CMD-SHELL", 'echo "hello"']

    def test_unknown_log_driver_is_refused(self, api):
        config = api.create_host_config(log_config=LogConfig(type="nowhere", config={}))
        with pytest.raises(docker.errors.APIError) as refusal:
            api.start(api.create_container(IMAGE, ["true"], host_config=config))
        assert refusal.value.explanation == "logger: no log driver named 'nowhere' is registered"

    def test_a_restarting_container_is_removed_by_force_only(self, api):
        config = api.create_host_config(restart_policy={"Name": "always"}, network_mode="none")
        made = api.create_container(IMAGE, ["sleep", "1000"], host_config=config)
        api.start(made)
        with pytest.raises(docker.errors.APIError) as refusal:
            api.remove_container(made)
        assert refusal.value.status_code == 409 and "annot remove container" in refusal.value.explanation
        api.remove_container(made, force=True)

    def test_volumes_from(self, client, api):
        for donor in ("one", "two"):
            api.create_container(IMAGE, "true", name=donor, volumes=["/" + donor])
        taker = client.containers.create(IMAGE, "ls -d /one /two", volumes_from=["one", "two"])
        assert taker.attrs["HostConfig"]["VolumesFrom"] == ["one", "two"]
        taker.start()
        assert output(taker) == b"/one\n/two\n"

    def test_links_of_the_default_bridge(self, client):
        target = run(client, "cat", stdin_open=True, environment={"FOO": "1"})
        linked = run(client, "env", links={target.name: "mylink"}, network_mode="bridge")
        lines = output(linked).decode()
        assert "MYLINK_NAME=" in lines and "MYLINK_ENV_FOO=1" in lines

    def test_a_mac_address_of_its_own(self, client):
        mac = "02:42:ac:11:00:0a"
        container = run(client, ["cat", "/sys/class/net/eth0/address"], mac_address=mac)
        assert output(container).decode().strip() == mac
        running = sleeper(client, mac_address=mac)
        running.reload()
        assert running.attrs["NetworkSettings"]["MacAddress"] == mac

    def test_groups_and_user(self, client):
        groups = output(run(client, "id -G", group_add=[1000, "1001"])).decode().split()
        assert {"1000", "1001"} <= set(groups)
        assert output(run(client, ["id", "-u"], user=1000)) == b"1000\n"

    def test_image_that_is_not_there(self, client):
        with pytest.raises(docker.errors.ImageNotFound):
            client.api.create_container("there-is-no-such-image", "true")


class TestMounts:
    @pytest.mark.parametrize("read_only", [False, True])
    @pytest.mark.parametrize("by", ["binds", "mounts"])
    def test_a_folder_of_the_host(self, client, tmp_path, read_only, by):
        (tmp_path / "shared").write_text("hello")
        mode = "ro" if read_only else "rw"
        asked = (
            {"volumes": {str(tmp_path): {"bind": "/mnt", "mode": mode}}}
            if by == "binds"
            else {"mounts": [Mount(type="bind", source=str(tmp_path), target="/mnt", read_only=read_only)]}
        )
        container = run(client, ["cat", "/mnt/shared"], **asked)
        assert output(container) == b"hello"
        [mount] = [one for one in client.containers.get(container.id).attrs["Mounts"] if one["Destination"] == "/mnt"]
        assert mount["Source"] == str(tmp_path) and mount["RW"] is not read_only

    def test_a_volume_with_labels(self, client):
        volume = name()
        mount = Mount(type="volume", source=volume, target="/mnt", labels={"kind": "test"})
        made = client.containers.create(IMAGE, "true", mounts=[mount])
        [found] = made.attrs["Mounts"]
        assert found["Name"] == volume and found["RW"] is True
        assert client.volumes.get(volume).attrs["Labels"] == {"kind": "test"}

    def test_a_named_volume_keeps_files(self, client):
        volume = client.volumes.create(name=name())
        run(client, ["sh", "-c", "echo hello >/kept/file"], volumes=[volume.name + ":/kept"]).wait()
        assert client.containers.run(IMAGE, ["cat", "/kept/file"], volumes=[volume.name + ":/kept"]) == b"hello\n"


class TestArchive:
    def test_a_file_comes_out(self, api):
        made = api.create_container(IMAGE, "sh -c 'echo -n hello >/vol1/data.txt'", volumes=["/vol1"])
        api.start(made)
        api.wait(made)
        stream, stat = api.get_archive(made, "/vol1/data.txt")
        assert stat["name"] == "data.txt" and stat["size"] == 5
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
            assert tar.extractfile("data.txt").read() == b"hello"

    def test_files_and_folders_go_in(self, client):
        container = client.containers.create(IMAGE, "cat /vol1/a /vol1/sub/b", volumes=["/vol1"])
        assert container.put_archive("/vol1", tar_of(**{"a": b"one\n", "sub/b": b"two\n"}))
        container.start()
        assert output(container) == b"one\ntwo\n"

    def test_export(self, client):
        container = client.containers.create(IMAGE, "true")
        with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as tar:
            assert "bin/busybox" in tar.getnames()


class TestLife:
    def test_states(self, client):
        container = client.containers.create(IMAGE, ["sleep", "1000"], stop_signal="SIGKILL")
        assert container.status == "created"

        def status():
            container.reload()
            return container.status

        container.start()
        assert status() == "running"
        container.pause()
        assert status() == "paused"
        state = container.attrs["State"]
        assert state["Running"] is True and state["Paused"] is True and state["ExitCode"] == 0
        container.unpause()
        assert status() == "running"
        started = container.attrs["State"]["StartedAt"]
        container.restart(timeout=2)
        assert status() == "running" and container.attrs["State"]["StartedAt"] != started
        container.stop()
        assert status() == "exited"
        container.remove()
        with pytest.raises(docker.errors.NotFound):
            status()

    def test_commands_are_split_as_a_shell_splits(self, client):
        for command in ["true", 'echo "a & b"', "sh -c \"echo Hello\"", "sh -c 'echo \"Hello\"'", 'true && echo "x"']:
            assert run(client, command).wait()["StatusCode"] == 0, command

    @pytest.mark.parametrize("number", [signal.SIGKILL, 9, "SIGKILL", "KILL", None])
    def test_kill(self, client, number):
        container = sleeper(client)
        container.kill(signal=number)
        assert container.wait()["StatusCode"] == 137
        container.reload()
        assert container.attrs["State"]["ExitCode"] == 137 and container.attrs["State"]["Running"] is False

    def test_wait_for_removal(self, api):
        never = api.create_container(IMAGE, "true")
        with pytest.raises(requests.exceptions.ConnectionError):
            api.wait(never, condition="removed", timeout=1)
        config = api.create_host_config(auto_remove=True)
        goes = api.create_container(IMAGE, ["sh", "-c", "read x"], stdin_open=True, host_config=config)
        api.start(goes)
        waited = []
        waiter = threading.Thread(target=lambda: waited.append(api.wait(goes, condition="removed", timeout=20)))
        waiter.start()
        api.kill(goes)
        waiter.join()
        assert waited == [{"StatusCode": 137}] or waited[0]["StatusCode"] == 137

    def test_a_client_waits_for_longer_than_the_timeout_of_a_stop(self, api):
        made = api.create_container(IMAGE, ["sleep", "1000"], stop_signal="SIGCONT")
        api.start(made)
        api.timeout = 1
        api.restart(made, timeout=2)
        api.stop(made, timeout=1)

    def test_rename(self, client):
        container = client.containers.create(IMAGE, "true", name=name())
        other = name()
        container.rename(other)
        container.reload()
        assert container.name == other

    def test_diff_and_commit(self, client):
        container = run(client, "sh -c 'echo hello >/test'")
        container.wait()
        assert container.diff() == [{"Path": "/test", "Kind": 1}]
        image = container.commit(changes=["EXPOSE 8000", 'CMD ["cat", "/test"]'])
        assert client.containers.run(image.id, remove=True) == b"hello\n"
        assert "8000/tcp" in image.attrs["Config"]["ExposedPorts"]
        assert image.attrs["Parent"] == client.images.get(IMAGE).id
        client.images.remove(image.id)

    def test_top(self, api):
        made = api.create_container(IMAGE, ["sleep", "60"])
        api.start(made)
        plain = api.top(made)
        assert plain["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
        assert [line[-1] for line in plain["Processes"]] == ["sleep 60"]
        wide = api.top(made, "waux")
        assert wide["Titles"][:4] == ["USER", "PID", "%CPU", "%MEM"] and wide["Titles"][-1] == "COMMAND"
        assert wide["Processes"][0][10] == "sleep 60"

    def test_stats(self, client):
        container = sleeper(client)
        stats = container.stats(stream=False)
        assert {"read", "networks", "precpu_stats", "cpu_stats", "memory_stats", "blkio_stats"} <= set(stats)
        first = next(container.stats(stream=True, decode=True))
        assert first["id"] == container.id

    def test_update(self, client, api):
        container = sleeper(client, mem_limit="64M")
        api.update_container(container.id, mem_limit="128M", memswap_limit="256M", restart_policy={"Name": "on-failure", "MaximumRetryCount": 3})
        container.reload()
        assert container.attrs["HostConfig"]["Memory"] == 128 << 20
        assert container.attrs["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}

    def test_prune(self, client):
        ended = run(client, "sh -c 'echo hello >/data'")
        ended.wait()
        running = sleeper(client)
        report = client.containers.prune()
        assert report["ContainersDeleted"] == [ended.id] and report["SpaceReclaimed"] > 0
        assert client.containers.get(running.id).status == "running"

    @pytest.mark.parametrize("test, want", [("true", "healthy"), ("false", "unhealthy")])
    def test_health(self, client, test, want):
        check = {"test": test, "interval": SECOND // 10, "timeout": SECOND, "retries": 1}
        container = sleeper(client, healthcheck=check)
        for event in client.events(decode=True, since=0, until=int(time.time()) + 20, filters={"container": container.id}):
            if event["Action"] == "health_status: " + want:
                break
        container.reload()
        assert container.attrs["State"]["Health"]["Status"] == want


class TestRun:
    def test_output_and_failure(self, client):
        assert client.containers.run(IMAGE, "echo hello world", remove=True) == b"hello world\n"
        with pytest.raises(docker.errors.ContainerError) as failure:
            client.containers.run(IMAGE, "cat /test", remove=True)
        assert failure.value.exit_status == 1 and b"No such file" in failure.value.stderr

    def test_streamed_and_cancelled(self, client):
        assert list(client.containers.run(IMAGE, "sh -c 'echo one && echo two'", stream=True)) == [b"one\n", b"two\n"]
        stream = run(client, "sh -c 'echo one; sleep 1000'", stop_signal="SIGKILL").logs(stream=True, follow=True)
        assert next(stream) == b"one\n"
        threading.Timer(0.2, stream.close).start()
        assert list(stream) == []

    @pytest.mark.parametrize("driver, want", [("none", None), ("json-file", b"hello\n"), ("local", None)])
    def test_log_drivers(self, client, driver, want):
        assert client.containers.run(IMAGE, "echo hello", log_config={"type": driver}) == want

    def test_auto_remove(self, client):
        assert client.containers.run(IMAGE, 'sh -c "echo hello && sleep 1"', auto_remove=True) == b"hello\n"
        with pytest.raises(docker.errors.ContainerError) as failure:
            client.containers.run(IMAGE, 'sh -c ">&2 echo error && sleep 1 && exit 1"', auto_remove=True)
        assert failure.value.exit_status == 1 and failure.value.stderr is None

    def test_proxies_of_the_client(self, client):
        client.api._proxy_configs = docker.utils.proxy.ProxyConfig(ftp="proxy.example:1")
        assert b"ftp_proxy=proxy.example:1\n" in client.containers.run(IMAGE, 'sh -c "env"')

    def test_list_sparse(self, client):
        container = sleeper(client)
        [found] = client.containers.list(sparse=True)
        assert found.attrs["Image"] == IMAGE and found.status == "running"
        assert found.image == client.images.get(IMAGE)
        assert container.image == client.images.get(IMAGE)


class TestLogs:
    def test_parts(self, api):
        made = api.create_container(IMAGE, 'echo "one\ntwo"')
        api.start(made)
        api.wait(made)
        assert api.logs(made) == b"one\ntwo\n"
        assert api.logs(made, tail=1) == b"two\n"
        assert api.logs(made, tail=0) == b""
        assert api.logs(made, until=1) == b""
        assert api.logs(made, since=1) == b"one\ntwo\n"
        assert b"".join(api.logs(made, stream=True, follow=True)) == b"one\ntwo\n"
        stamped = api.logs(made, timestamps=True).splitlines()
        assert [line.split(b" ", 1)[1] for line in stamped] == [b"one", b"two"]


class TestAttach:
    def test_frames(self, api):
        line = "hello, words!"
        made = api.create_container(IMAGE, ["printf", line])
        sock = api.attach_socket(made, {"stdout": 1, "stream": 1, "logs": 1})
        api.start(made)
        assert next_frame_header(sock) == (1, len(line))
        assert read_exactly(sock, len(line)).decode() == line
        sock.close()

    def test_logs_without_a_stream(self, api):
        made = api.create_container(IMAGE, "echo hello")
        api.start(made)
        api.wait(made)
        assert api.attach(made, stream=False, logs=True) == b"hello\n"

    @pytest.mark.parametrize("asked, keys", [({}, b"\x10\x11"), ({"detachKeys": "ctrl-x"}, b"\x18")])
    def test_detach(self, client, api, asked, keys):
        container = run(client, "cat", stdin_open=True, tty=True)
        sock = api.attach_socket(container.id, {"stdin": True, "stdout": True, "stream": True, **asked})
        sock._sock.sendall(b"typed\n")
        read_exactly(sock, len(b"typed\r\ntyped\r\n"))
        sock._sock.sendall(keys)
        sock._sock.settimeout(20)
        while sock._sock.recv(64):
            pass
        container.reload()
        assert container.status == "running"


class TestExec:
    SCRIPT = "sh -c 'echo out; sleep 0.3; echo err >&2'"

    def test_output_in_all_forms(self, client, api):
        container = sleeper(client)

        def execute(tty=False, **how):
            return api.exec_start(api.exec_create(container.id, self.SCRIPT, tty=tty), **how)

        assert execute() == b"out\nerr\n"
        assert list(execute(stream=True)) == [b"out\n", b"err\n"]
        assert execute(demux=True) == (b"out\n", b"err\n")
        assert list(execute(demux=True, stream=True)) == [(b"out\n", None), (None, b"err\n")]
        assert execute(tty=True) == b"out\r\nerr\r\n"
        assert list(execute(tty=True, stream=True)) == [b"out\r\n", b"err\r\n"]
        assert execute(tty=True, demux=True) == (b"out\r\nerr\r\n", None)

    def test_detached_and_inspected(self, client, api):
        container = sleeper(client)
        made = api.exec_create(container.id, ["printf", "x"])
        assert api.exec_start(made, detach=True) == ""
        failing = api.exec_create(container.id, ["mkdir", "/does/not/exist"])
        api.exec_start(failing)
        assert api.exec_inspect(failing)["ExitCode"] == 1

    def test_user_environment_and_folder(self, client):
        container = sleeper(client)
        assert container.exec_run("whoami", user="bob").output == b"bob\n"
        assert container.exec_run("whoami").output == b"root\n"
        assert b"X=Y\n" in container.exec_run("env", environment=["X=Y"]).output
        assert container.exec_run("pwd", workdir="/home/bob").output == b"/home/bob\n"
        assert container.exec_run("no-such-program").exit_code in (126, 127)

    def test_a_terminal_over_a_socket(self, client, api):
        container = sleeper(client)
        made = api.exec_create(container.id, ["printf", "words"], tty=True)
        sock = api.exec_start(made, tty=True, socket=True)
        assert read_exactly(sock, 5) == b"words"
        sock.close()

    @pytest.mark.parametrize("asked, keys", [({}, b"\x10\x11"), ({"detach_keys": "ctrl-x"}, b"\x18")])
    def test_detach(self, client, api, asked, keys):
        container = sleeper(client)
        made = api.exec_create(container.id, "cat", stdin=True, tty=True, **asked)
        sock = api.exec_start(made, tty=True, socket=True)
        sock._sock.sendall(b"typed\n")
        read_exactly(sock, len(b"typed\r\ntyped\r\n"))
        sock._sock.sendall(keys)
        sock._sock.settimeout(20)
        while sock._sock.recv(64):
            pass


class TestPorts:
    def test_given_addresses(self, client, api):
        bindings = {"1111": ("127.0.0.1", "24567"), "2222": ("127.0.0.1", "24568")}
        config = api.create_host_config(port_bindings=bindings, network_mode="bridge")
        made = api.create_container(IMAGE, ["sleep", "60"], ports=list(bindings), host_config=config)
        api.start(made)
        for port, (address, number) in bindings.items():
            assert api.port(made, port) == [{"HostIp": address, "HostPort": number}]

    def test_protocols(self, client, api):
        config = api.create_host_config(port_bindings={"2000/tcp": 21990, "2000/udp": 21991})
        made = api.create_container(IMAGE, ["sleep", "60"], ports=[2000, (2000, "udp")], host_config=config)
        api.start(made)
        assert api.port(made, 2000)[0]["HostPort"] == "21990"
        assert api.port(made, "2000/tcp")[0]["HostPort"] == "21990"
        assert api.port(made, "2000/udp")[0]["HostPort"] == "21991"

    @pytest.mark.parametrize("target", [None, ("127.0.0.1", 21111), [21234, 24569]])
    def test_targets(self, client, target):
        container = sleeper(client, ports={"2222/tcp": target})
        container.reload()
        assert list(container.ports) == ["2222/tcp"]
        for binding in container.ports["2222/tcp"]:
            assert sorted(binding) == ["HostIp", "HostPort"] and int(binding["HostPort"]) > 0


def subnet(**pool):
    return IPAMConfig(driver="default", pool_configs=[IPAMPool(**pool)])


class TestNetworks:
    def test_list_get_remove(self, client):
        network = client.networks.create(name(), labels={"foo": "bar"})
        assert network.attrs["Labels"] == {"foo": "bar"} and network.attrs["Driver"] == "bridge"
        assert network.attrs["Scope"] == "local" and network.attrs["IPAM"]["Driver"] == "default"
        listed = lambda **how: [one.id for one in client.networks.list(**how)]
        assert listed(ids=[network.id]) == listed(names=[network.name]) == listed(ids=[network.id[:8]]) == [network.id]
        assert listed(ids=["fdhjklfdfdshjkfds"]) == listed(names=["fdshjklfdsjhkl"]) == []
        network.remove()
        assert network.id not in listed()

    def test_ipam(self, api):
        pool = {
            "Subnet": "172.28.0.0/16",
            "IPRange": "172.28.5.0/24",
            "Gateway": "172.28.5.254",
            "AuxiliaryAddresses": {"a": "172.28.1.5", "b": "172.28.1.6"},
        }
        ipam = subnet(subnet=pool["Subnet"], iprange=pool["IPRange"], gateway=pool["Gateway"], aux_addresses=pool["AuxiliaryAddresses"])
        made = api.create_network(name(), ipam=ipam)
        found = api.inspect_network(made["Id"])["IPAM"]
        assert found == {"Driver": "default", "Options": None, "Config": [pool]}

    @pytest.mark.parametrize("key, field", [("internal", "Internal"), ("attachable", "Attachable")])
    def test_flags(self, api, key, field):
        made = api.create_network(name(), **{key: True})
        assert api.inspect_network(made["Id"])[field] is True

    def test_ipv6(self, api):
        ipam = subnet(subnet="2001:389::/64", iprange="2001:389::/96", gateway="2001:389::ffff")
        made = api.create_network(name(), enable_ipv6=True, ipam=ipam)
        assert api.inspect_network(made["Id"])["EnableIPv6"] is True

    def test_ipv6_that_lies_idle(self, client, api):
        """A subnet and an address of a family that the network does not have are kept on record, and nobody gets any."""
        network = client.networks.create(name(), ipam=subnet(subnet="2001:389::1/64"))
        wish = api.create_endpoint_config(ipv6_address="2001:389::f00d")
        container = sleeper(client)
        api.connect_container_to_network(container.id, network.id, ipv6_address="2001:389::f00d")
        container.reload()
        place = container.attrs["NetworkSettings"]["Networks"][network.name]
        assert place["IPAMConfig"] == wish["IPAMConfig"] and place["GlobalIPv6Address"] == "" and place["IPAddress"]

    def test_any_name(self, client):
        for words in ["two words " + name(), "a/" + name()]:
            network = client.networks.create(words)
            assert client.networks.get(words).name == words
            network.remove()

    def test_refusals(self, api):
        with pytest.raises(docker.errors.APIError):
            api.create_network(name(), driver="host")
        twice = name()
        api.create_network(twice)
        with pytest.raises(docker.errors.APIError):
            api.create_network(twice, check_duplicate=True)

    @pytest.mark.parametrize("force", [False, True])
    def test_connect_and_disconnect(self, client, api, force):
        network = client.networks.create(name())
        container = sleeper(client)
        assert network.containers == []
        network.connect(container, aliases=["foo", "bar"])
        assert client.networks.get(network.id).containers == [container]
        aliases = api.inspect_container(container.id)["NetworkSettings"]["Networks"][network.name]["Aliases"]
        assert {"foo", "bar"} <= set(aliases)
        with pytest.raises(docker.errors.APIError):
            network.connect(container)
        network.disconnect(container, force=force)
        assert client.networks.get(network.id).containers == []
        with pytest.raises(docker.errors.APIError):
            network.disconnect(container, force=force)

    def test_a_network_from_the_start(self, client):
        network = client.networks.create(name())
        container = sleeper(client, network=network.name)
        assert list(container.attrs["NetworkSettings"]["Networks"]) == [network.name]
        assert client.networks.get(network.id).containers == [container]

    @pytest.mark.parametrize(
        "pool, asked, field, value",
        [
            ({"subnet": "132.124.0.0/16"}, "ipv4_address", "IPv4Address", "132.124.0.23"),
            ({"subnet": "2001:389::/64"}, "ipv6_address", "IPv6Address", "2001:389::f00d"),
        ],
    )
    def test_addresses(self, api, pool, asked, field, value):
        network = name()
        api.create_network(network, ipam=subnet(**pool), enable_ipv6=":" in value)
        endpoint = api.create_endpoint_config(**{asked: value})
        made = api.create_container(
            IMAGE, ["sleep", "1000"], stop_signal="SIGKILL",
            host_config=api.create_host_config(network_mode=network),
            networking_config=api.create_networking_config({network: endpoint}),
        )
        api.start(made)
        settings = api.inspect_container(made)["NetworkSettings"]["Networks"][network]
        assert settings["IPAMConfig"][field] == value
        assert value in (settings["IPAddress"], settings["GlobalIPv6Address"])
        api.stop(made, timeout=0)
        api.disconnect_container_from_network(made, network)
        api.connect_container_to_network(made, network, **{asked: value})
        assert api.inspect_container(made)["NetworkSettings"]["Networks"][network]["IPAMConfig"][field] == value

    def test_link_local_addresses(self, api):
        endpoint = api.create_endpoint_config(link_local_ips=["169.254.8.8"])
        made = api.create_container(
            IMAGE, ["sleep", "1000"], stop_signal="SIGKILL",
            networking_config=api.create_networking_config({"bridge": endpoint}),
            host_config=api.create_host_config(network_mode="bridge"),
        )
        api.start(made)
        settings = api.inspect_container(made)["NetworkSettings"]["Networks"]["bridge"]
        assert settings["IPAMConfig"]["LinkLocalIPs"] == ["169.254.8.8"]

    def test_names_and_links_resolve(self, client, api):
        network = client.networks.create(name())
        upstream = name()
        endpoint = api.create_endpoint_config(links=[(upstream, "bar")])
        made = api.create_container(
            IMAGE, ["sleep", "1000"], stop_signal="SIGKILL",
            host_config=api.create_host_config(network_mode=network.name),
            networking_config=api.create_networking_config({network.name: endpoint}),
        )
        api.start(made)
        settings = api.inspect_container(made)["NetworkSettings"]["Networks"][network.name]
        assert settings["Links"] == [upstream + ":bar"]
        sleeper(client, name=upstream, network=network.name)
        found = client.containers.get(made["Id"]).exec_run(["ping", "-c", "1", "-w", "5", "bar"])
        assert found.exit_code == 0, found.output

    def test_prune(self, client):
        network = client.networks.create(name())
        assert network.name in client.networks.prune()["NetworksDeleted"]


class TestVolumes:
    def test_life(self, api):
        volume = name()
        made = api.create_volume(volume)
        assert made["Name"] == volume and made["Driver"] == "local"
        assert made in api.volumes()["Volumes"] and api.inspect_volume(volume) == made
        api.remove_volume(volume)
        with pytest.raises(docker.errors.NotFound):
            api.inspect_volume(volume)
        with pytest.raises(docker.errors.NotFound):
            api.remove_volume(volume)
        api.create_volume(volume)
        api.remove_volume(volume, force=True)

    def test_unknown_driver(self, api):
        with pytest.raises(docker.errors.APIError) as refusal:
            api.create_volume(name(), "this-plugin-does-not-exist")
        assert refusal.value.status_code in (400, 404)

    def test_prune(self, api):
        made = api.create_volume()
        assert made["Name"] in api.prune_volumes()["VolumesDeleted"]


class TestImages:
    def test_list(self, client, api):
        images = api.images(all=True)
        assert {"Id", "Created", "RepoTags"} <= set(images[0])
        assert len({image["Id"] for image in images}) == api.info()["Images"]
        assert isinstance(api.images(quiet=True)[0], str)
        ids = lambda of: [image.id for image in client.images.list(of)]
        assert ids(IMAGE) == ids(IMAGE + ":latest") == [client.images.get(IMAGE).id]

    def test_tag_and_remove(self, client):
        image = client.images.get(IMAGE)
        assert image.tag("py.tests.images", "some-tag")
        assert [one.id for one in client.images.list("py.tests.images:some-tag")] == [image.id]
        client.images.remove("py.tests.images:some-tag")
        assert client.images.list("py.tests.images") == []

    def test_load_of_something_else(self, client):
        with pytest.raises(docker.errors.ImageLoadError):
            client.images.load(b"no archive")

    def test_save_and_load(self, client):
        data = b"".join(client.images.get(IMAGE).save(named=True))
        [loaded] = client.images.load(data)
        assert loaded.id == client.images.get(IMAGE).id

    @pytest.mark.parametrize("source", ["data", "stream"])
    def test_import(self, api, source):
        data = tar_of(testdata=b"x" * 500)
        options = {"repository": "py.tests.import", "changes": ["USER foobar", 'CMD ["echo"]']}
        told = (
            api.import_image_from_data(data, **options)
            if source == "data"
            else api.import_image(src=io.BytesIO(data), **options)
        )
        last = docker.utils.json_stream.json.loads(told.splitlines()[-1])
        config = api.inspect_image(last["status"])["Config"]
        assert config["Cmd"] == ["echo"] and config["User"] == "foobar"
        assert {"Deleted": last["status"]} in api.remove_image(last["status"], force=True)

    def test_refusals(self, api):
        with pytest.raises(docker.errors.APIError):
            api.inspect_image("example.jp//twice")
        with pytest.raises(docker.errors.APIError) as refusal:
            api.pull(IMAGE, platform="foobar")
        assert "unknown operating system" in str(refusal.value) or "invalid platform" in str(refusal.value)

    def test_history(self, client):
        assert client.images.get(IMAGE).history()[0]["Id"] == client.images.get(IMAGE).id


class TestSystem:
    def test_info(self, client):
        assert client.ping() is True
        assert {"ID", "Name"} <= set(client.info()) and "Version" in client.version()
        assert {"Containers", "Images", "Volumes", "LayersSize"} <= set(client.df())

    def test_events(self, client):
        container = run(client, "true")
        container.wait()
        told = client.events(since=0, until=int(time.time()) + 1, decode=True, filters={"container": container.id})
        actions = [event["Action"] for event in told]
        assert actions[:2] == ["create", "start"] and "die" in actions
