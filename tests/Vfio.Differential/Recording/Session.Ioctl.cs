using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Differential;

/// <content>Commands.</content>
internal sealed partial class Session
{
    private const int Margin = 64;

    /// <summary>A command on a structure. A size field (the first one) of 0 is filled in.</summary>
    /// <param name="descriptor">The file.</param>
    /// <param name="command">The command.</param>
    /// <param name="argument">The structure.</param>
    /// <param name="tail">What follows it, and room for an answer.</param>
    /// <param name="name">The command's name.</param>
    /// <param name="describe">How to write the tail down; as bytes when null.</param>
    public Outcome<T> Ioctl<T>(int descriptor, uint command, T argument, byte[]? tail = null, [CallerArgumentExpression(nameof(command))] string name = "", Func<byte[], string>? describe = null)
        where T : unmanaged
    {
        tail ??= [];
        describe ??= static bytes => Convert.ToHexStringLower(bytes.AsSpan().TrimEnd((byte)0));
        Complete(ref argument, tail.Length);
        byte[] sent = [.. Bytes(argument), .. tail];
        Span<byte> place = _argument.Span;
        place[..(sent.Length + Margin)].Fill(Untouched);
        sent.CopyTo(place);
        IoResult result = _system.Ioctl(descriptor, command, _argument.Address);
        return Finish<T>(Operation(descriptor, name, argument, tail, describe), result, sent, place[..(sent.Length + Margin)].ToArray(), describe);
    }

    /// <summary>A command that answers with a descriptor.</summary>
    public int IoctlDescriptor<T>(int descriptor, uint command, T argument, byte[]? tail = null, string kind = "file", [CallerArgumentExpression(nameof(command))] string name = "")
        where T : unmanaged
    {
        tail ??= [];
        Complete(ref argument, tail.Length);
        byte[] sent = [.. Bytes(argument), .. tail];
        sent.CopyTo(_argument.Span);
        IoResult result = _system.Ioctl(descriptor, command, _argument.Address);
        return Received(Operation(descriptor, name, argument, tail), kind, result);
    }

    /// <summary>A command on a number.</summary>
    public IoResult Value(int descriptor, uint command, ulong value = 0, [CallerArgumentExpression(nameof(command))] string name = "")
    {
        IoResult result = _system.Ioctl(descriptor, command, value);
        Record($"{Plain(name)}({NameOf(descriptor)}, {_text.Number("", value)})", result);
        return result;
    }

    /// <summary>A command on a pointer to a number, which is mostly a descriptor.</summary>
    public IoResult Descriptor(int descriptor, uint command, int value, [CallerArgumentExpression(nameof(command))] string name = "")
    {
        MemoryMarshal.Write(_argument.Span, value);
        IoResult result = _system.Ioctl(descriptor, command, _argument.Address);
        Record($"{Plain(name)}({NameOf(descriptor)}, &{NameOf(value)})", result);
        return result;
    }

    /// <summary>A command on a pointer to nothing.</summary>
    public void BadPointer(int descriptor, uint command, [CallerArgumentExpression(nameof(command))] string name = "")
        => Record($"{Plain(name)}({NameOf(descriptor)}, nowhere)", _system.Ioctl(descriptor, command, _argument.Address + (ulong)_argument.Size));

    /// <summary>A command on a structure of which only the beginning can be read.</summary>
    public void Cut<T>(int descriptor, uint command, T argument, int readable, [CallerArgumentExpression(nameof(command))] string name = "")
        where T : unmanaged
    {
        Complete(ref argument, 0);
        Bytes(argument)[..readable].CopyTo(_argument.Span[^readable..]);
        IoResult result = _system.Ioctl(descriptor, command, _argument.Address + (ulong)(_argument.Size - readable));
        Record($"{Operation(descriptor, name, argument, [])} cut to {readable}", result);
    }

    /// <summary>A command on a structure that cannot be written.</summary>
    public void ReadOnly<T>(int descriptor, uint command, T argument, [CallerArgumentExpression(nameof(command))] string name = "")
        where T : unmanaged
    {
        Complete(ref argument, 0);
        Bytes(argument).CopyTo(_readOnlyArgument.Span);
        IoResult result = _system.Ioctl(descriptor, command, _readOnlyArgument.Address);
        Record($"{Operation(descriptor, name, argument, [])} read-only", result);
    }

    /// <summary>Descriptors behind a structure, for <c>describe</c>.</summary>
    public string Descriptors(byte[] tail) => string.Join(',', MemoryMarshal.Cast<byte, int>(tail).ToArray().Select(NameOf));

    /// <summary>Functions of a hot reset behind a structure with their groups, for <c>describe</c>.</summary>
    public string DependentsWithGroups(byte[] tail) => Dependents(tail, number =>
    {
        IEnumerable<Target> targets = Targets.All.Where(target => _system.GroupPath(target) == $"/dev/vfio/{number}");
        return targets.Any() ? $"group {targets.First()}" : "another group";
    });

    /// <summary>The same with the devices' ids.</summary>
    public string DependentsWithIds(byte[] tail) => Dependents(tail, static number => $"id {unchecked((int)number)}");

    private static string Dependents(byte[] tail, Func<uint, string> name)
        => string.Join(',', MemoryMarshal.Cast<byte, vfio_pci_dependent_device>(tail).ToArray()
            .Where(static function => !Bytes(function).All(static b => b == 0))
            .Select(function => $"{function.segment:x4}:{function.bus:x2}:{function.devfn >> 3:x2}.{function.devfn & 7}/{name(function.group_id)}"));

    /// <summary>Opens a device through its group.</summary>
    public int DeviceOf(int group, Target target = Target.A, string? deviceName = null)
    {
        byte[] text = [.. System.Text.Encoding.UTF8.GetBytes(deviceName ?? _system.DeviceName(target)), 0];
        text.CopyTo(_argument.Span);
        IoResult result = _system.Ioctl(group, VfioUapi.VFIO_GROUP_GET_DEVICE_FD, _argument.Address);
        return Received($"VFIO_GROUP_GET_DEVICE_FD({NameOf(group)}, \"{deviceName ?? $"device {target}"}\")", $"device {target}", result);
    }

    /// <summary>Notes a descriptor that a command wrote into its structure.</summary>
    public int Received(Outcome<iommu_fault_alloc> outcome)
    {
        if (outcome.Succeeded)
        {
            int number = (int)outcome.Argument.out_fault_fd;
            _system.Keep(number);
            _open.Add(number);
        }

        return outcome.Succeeded ? (int)outcome.Argument.out_fault_fd : -1;
    }

    /// <summary>A command's name without the class that it is in.</summary>
    private static string Plain(string name) => name[(name.LastIndexOf('.') + 1)..];

    private static byte[] Bytes<T>(T argument)
        where T : unmanaged
        => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in argument)).ToArray();

    private static void Complete<T>(ref T argument, int tail)
        where T : unmanaged
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<T>(ref argument));
        if (typeof(T).IsPrimitive || MemoryMarshal.Read<uint>(bytes) != 0)
        {
            return;
        }

        MemoryMarshal.Write(bytes, (uint)(bytes.Length + tail));
    }

    private int Received(string operation, string kind, IoResult result)
    {
        if (!result.IsError)
        {
            _system.Keep((int)result.Value);
        }

        return OpenedAs(operation, kind, result);
    }

    private string Operation<T>(int descriptor, string name, T argument, byte[] tail, Func<byte[], string>? describe = null)
        where T : unmanaged
    {
        describe ??= Convert.ToHexStringLower;
        IEnumerable<string> fields = _text.Fields(argument)
            .Where(static (field, index) => index == 0 || field.Value.Any(static c => c is not '0'))
            .Where((field, index) => index != 0 || field.Value != _text.Number("", (ulong)(Unsafe.SizeOf<T>() + tail.Length)))
            .Select(static field => $"{field.Key}={field.Value}");
        string data = tail.Any(static b => b != 0) ? $" data={describe(tail)}" : tail.Length > 0 ? $" +{tail.Length}" : "";
        string text = string.Join(' ', fields);
        return $"{Plain(name)}({NameOf(descriptor)}{(text.Length + data.Length > 0 ? ", " : "")}{(text.Length == 0 ? data.TrimStart() : text + data)})";
    }

    private Outcome<T> Finish<T>(string operation, IoResult result, byte[] sent, byte[] received, Func<byte[], string> describe)
        where T : unmanaged
    {
        int size = Unsafe.SizeOf<T>();
        T before = MemoryMarshal.Read<T>(sent);
        T after = MemoryMarshal.Read<T>(received);
        NameNew(after, result);
        List<KeyValuePair<string, string>> fields = [];
        foreach ((KeyValuePair<string, string> old, KeyValuePair<string, string> now) in _text.Fields(before).Zip(_text.Fields(after)))
        {
            if (old.Value != now.Value)
            {
                fields.Add(now);
            }
        }

        uint chain = result.IsError ? 0 : CapabilityText.Start(after);
        if (chain != 0)
        {
            fields.AddRange(CapabilityText.Fields(received[..sent.Length], chain, _text));
        }
        else if (!received.AsSpan(size, sent.Length - size).SequenceEqual(sent.AsSpan(size)))
        {
            fields.Add(new KeyValuePair<string, string>("data", describe(received[size..sent.Length])));
        }

        if (received.AsSpan(sent.Length).ContainsAnyExcept(Untouched))
        {
            fields.Add(new KeyValuePair<string, string>("beyond", Convert.ToHexStringLower(received.AsSpan(sent.Length).TrimEnd(Untouched))));
        }

        Record(operation, result, fields);
        return new Outcome<T>(result, after);
    }

    private void NameNew<T>(T after, IoResult result)
    {
        if (!result.IsError && after is iommu_fault_alloc fault && !_descriptors.ContainsKey((int)fault.out_fault_fd))
        {
            Name((int)fault.out_fault_fd, "fault queue");
        }
    }
}
