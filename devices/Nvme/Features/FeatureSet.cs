using Vfio.Pci;

namespace Vfio.Devices.Nvme;

/// <summary>
/// The features that the host sets and gets (NVMe Base 2.0 §5.27.1). None is saved: a controller reset returns all to their defaults.
/// </summary>
/// <remarks>Changed by the admin queue, which executes one command at a time, and by resets; read from everywhere.</remarks>
internal sealed class FeatureSet
{
    /// <summary>Composite temperature, over: 343 K, which is Identify's WCTEMP.</summary>
    public const ushort WarningTemperature = 343;

    /// <summary>The bits of a timestamp.</summary>
    public const long TimestampMask = (1L << 48) - 1;

    private readonly int _queues;
    private readonly bool[] _coalescingDisabled;
    private readonly ushort[] _recoveryTime;
    private volatile bool _writeCacheEnabled;

    public FeatureSet(int queues, int vectors, int namespaces)
    {
        _queues = queues;
        _coalescingDisabled = new bool[vectors];
        _recoveryTime = new ushort[namespaces];
        Reset();
    }

    /// <summary>AB, LPW, MPW and HPW.</summary>
    public uint Arbitration { get; set; }

    /// <summary>PS and WH.</summary>
    public uint Power { get; set; }

    /// <summary>Kelvin from which the temperature is too high, and from which too low.</summary>
    public ushort OverTemperature { get; set; }

    /// <inheritdoc cref="OverTemperature"/>
    public ushort UnderTemperature { get; set; }

    public bool WriteCacheEnabled
    {
        get => _writeCacheEnabled;
        set => _writeCacheEnabled = value;
    }

    /// <summary>Submission queues that the host may create.</summary>
    public int SubmissionQueues { get; set; }

    /// <summary>Completion queues that the host may create.</summary>
    public int CompletionQueues { get; set; }

    /// <summary>THR in bits 7:0, TIME in units of 100 µs in bits 15:8.</summary>
    public uint Coalescing { get; set; }

    /// <summary>DN: whether AWUN and NAWUN are not asked for.</summary>
    public uint WriteAtomicity { get; set; }

    /// <summary>Which events the host wants to hear of.</summary>
    public uint AsyncEvents { get; set; }

    /// <summary>The host's identifier; zeros until it gives one.</summary>
    public byte[] HostIdentifier { get; } = new byte[16];

    /// <summary>Milliseconds to add to the device's clock for the host's time, and whether the host has set it (TIMESTAMP ORIGIN).</summary>
    public long TimestampOffset { get; set; }

    /// <inheritdoc cref="TimestampOffset"/>
    public bool IsTimestampSet { get; set; }

    /// <summary>Whether a temperature is at or beyond a threshold (NVMe Base 2.0 §5.27.1.3).</summary>
    public bool IsWarning(ushort temperature) => temperature >= OverTemperature || temperature <= UnderTemperature;

    public void Reset()
    {
        Arbitration = 0;
        Power = 0;
        OverTemperature = WarningTemperature;
        UnderTemperature = 0;
        WriteCacheEnabled = true;
        SubmissionQueues = _queues;
        CompletionQueues = _queues;
        Coalescing = 0;
        WriteAtomicity = 0;
        AsyncEvents = 0;
        IsTimestampSet = false;
        Array.Clear(HostIdentifier);
        Array.Clear(_coalescingDisabled);
        Array.Clear(_recoveryTime);
    }

    /// <summary>Writes all of them.</summary>
    /// <param name="writer">Receives them.</param>
    /// <param name="milliseconds">What the device's clock shows, which is another elsewhere.</param>
    public void Save(DeviceStateWriter writer, long milliseconds)
    {
        writer.WriteUInt32(Arbitration);
        writer.WriteUInt32(Power);
        writer.WriteUInt16(OverTemperature);
        writer.WriteUInt16(UnderTemperature);
        writer.WriteBoolean(WriteCacheEnabled);
        writer.WriteUInt16((ushort)SubmissionQueues);
        writer.WriteUInt16((ushort)CompletionQueues);
        writer.WriteUInt32(Coalescing);
        writer.WriteUInt32(WriteAtomicity);
        writer.WriteUInt32(AsyncEvents);
        writer.WriteBytes(HostIdentifier);
        writer.WriteBoolean(IsTimestampSet);
        writer.WriteUInt64((ulong)(milliseconds + TimestampOffset) & (ulong)TimestampMask);
        foreach (bool isDisabled in _coalescingDisabled)
        {
            writer.WriteBoolean(isDisabled);
        }

        foreach (ushort time in _recoveryTime)
        {
            writer.WriteUInt16(time);
        }
    }

    /// <summary>Takes what <see cref="Save"/> wrote.</summary>
    /// <returns>False when the host could not have set them so.</returns>
    public bool TryRestore(ref DeviceStateReader reader, long milliseconds)
    {
        Arbitration = reader.ReadUInt32() & 0xFFFF_FF07;
        Power = reader.ReadUInt32() & 0xFF;
        OverTemperature = reader.ReadUInt16();
        UnderTemperature = reader.ReadUInt16();
        WriteCacheEnabled = reader.ReadBoolean();
        SubmissionQueues = reader.ReadUInt16();
        CompletionQueues = reader.ReadUInt16();
        Coalescing = reader.ReadUInt32() & 0xFFFF;
        WriteAtomicity = reader.ReadUInt32() & 1;
        AsyncEvents = reader.ReadUInt32();
        reader.ReadBytes(HostIdentifier.Length).CopyTo(HostIdentifier);
        IsTimestampSet = reader.ReadBoolean();
        TimestampOffset = ((long)reader.ReadUInt64() & TimestampMask) - milliseconds;
        for (int i = 0; i < _coalescingDisabled.Length; i++)
        {
            _coalescingDisabled[i] = reader.ReadBoolean();
        }

        for (int i = 0; i < _recoveryTime.Length; i++)
        {
            _recoveryTime[i] = reader.ReadUInt16();
        }

        return !reader.IsBroken && SubmissionQueues <= _queues && CompletionQueues <= _queues;
    }

    public bool IsVector(uint vector) => vector < (uint)_coalescingDisabled.Length;

    public bool IsCoalescingDisabled(uint vector) => _coalescingDisabled[vector];

    public void SetCoalescingDisabled(uint vector, bool value) => _coalescingDisabled[vector] = value;

    /// <summary>TLER of a namespace, in units of 100 ms.</summary>
    public ushort RecoveryTime(uint namespaceId) => _recoveryTime[namespaceId - 1];

    public void SetRecoveryTime(uint namespaceId, ushort value) => _recoveryTime[namespaceId - 1] = value;

    public void SetRecoveryTimes(ushort value) => Array.Fill(_recoveryTime, value);
}
