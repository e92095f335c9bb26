using System.Buffers.Binary;
using Vfio.Linux;

namespace Vfio.Pci;

/// <summary>The interrupts of a PCI device: the pin with its level, MSI and MSI-X with masks and pending bits, ERR and REQ.</summary>
/// <remarks>
/// <para>
/// The user says by SET_IRQS which eventfds stand for which interrupts; configuration space and MSI-X table say which are masked. A
/// vector can be delivered when its eventfd is there and nobody masked it: masks of MSI-X table entries count only once the entry was
/// written, since users of VFIO virtualise the table and never write it (ADR 0101).
/// </para>
/// <para>
/// Safe for concurrent use. Lock order: <see cref="VfioPciDevice.StateLock"/>, then this object's lock, then configuration space.
/// Eventfds are signalled with this object's lock held, from threads that serve this device only.
/// </para>
/// </remarks>
public sealed partial class PciInterrupts
{
    private const uint StatusInterrupt = 0x0008_0000;
    private const int EntrySize = 16;
    private const int EntryControl = 12;
    private readonly Lock _lock = new();
    private readonly ConfigSpace _config;
    private readonly bool _hasPin;
    private readonly MsiLayout? _msiLayout;
    private readonly MsixLayout? _msixLayout;

    private readonly EventFd?[] _msi;
    private readonly EventFd?[] _msix;
    private readonly byte[] _table;
    private readonly ulong[] _tableWritten;
    private readonly ulong[] _msixPending;
    private uint _msiPending;
    private InterruptMode _mode;
    private int _enabledVectors;

    private EventFd? _intx;
    private bool _level;
    private bool _pulse;
    private bool _intxMasked;

    private EventFd? _error;
    private EventFd? _request;

    // Copies of configuration bits, so that signalling does not look them up.
    private bool _pinDisabled;
    private bool _msiEnabled;
    private uint _msiMask;
    private bool _msixEnabled;
    private bool _functionMask;

    internal PciInterrupts(ConfigSpace config, bool hasPin, MsiLayout? msi, MsixLayout? msix)
    {
        _config = config;
        _hasPin = hasPin;
        _msiLayout = msi;
        _msixLayout = msix;
        _msi = new EventFd?[msi?.Vectors ?? 0];
        _msix = new EventFd?[msix?.Vectors ?? 0];
        _table = new byte[_msix.Length * EntrySize];
        _tableWritten = new ulong[(_msix.Length + 63) / 64];
        _msixPending = new ulong[(_msix.Length + 63) / 64];
        ResetTable();
        _unmaskCall = new DeferredCall(Unmask);
    }

    /// <summary>What the user has enabled.</summary>
    public InterruptMode Mode
    {
        get
        {
            lock (_lock)
            {
                return _mode;
            }
        }
    }

    /// <summary>Whether messages go out: MSI or MSI-X is enabled, both by the user and in its capability.</summary>
    /// <remarks>Devices with an interrupt status register signal a message on a new cause then, and drive the pin otherwise.</remarks>
    public bool UsesMessages
    {
        get
        {
            lock (_lock)
            {
                return (_mode == InterruptMode.Msi && _msiEnabled) || (_mode == InterruptMode.Msix && _msixEnabled);
            }
        }
    }

    /// <summary>Limits how many MSI or MSI-X vectors a user is granted, to exercise a driver's fall-back; null for no limit.</summary>
    /// <remarks>A request for more is answered with the limit, and nothing is enabled (<c>vfio_msi_enable</c>, spec vfio-core §5.10).</remarks>
    public int? VectorLimit { get; set; }

    /// <summary>How many vectors of a kind the device has; 0 or 1 for the pin.</summary>
    /// <param name="interrupt">The kind.</param>
    /// <returns>The count that GET_IRQ_INFO answers.</returns>
    public uint Count(PciInterrupt interrupt) => interrupt switch
    {
        PciInterrupt.Intx => _hasPin ? 1U : 0,
        PciInterrupt.Msi => (uint)_msi.Length,
        PciInterrupt.Msix => (uint)_msix.Length,
        PciInterrupt.Error or PciInterrupt.Request => 1,
        _ => 0,
    };

    /// <summary>Drives the pin. The level stays until changed; while asserted it is delivered again after each unmask.</summary>
    /// <param name="level">True to assert.</param>
    /// <remarks>Does nothing for the user while messages are enabled; Interrupt Status in configuration space always shows the level. No effect without a pin.</remarks>
    public void SetIntx(bool level)
    {
        if (!_hasPin)
        {
            return;
        }

        lock (_lock)
        {
            if (_level == level)
            {
                return;
            }

            _level = level;
            _config.Update(PciRegister.Command, StatusInterrupt, level ? StatusInterrupt : 0);
            DeliverIntx();
        }
    }

    /// <summary>Signals a vector by whatever the user has enabled.</summary>
    /// <param name="vector">The vector, from 0.</param>
    /// <returns>What became of it.</returns>
    /// <remarks>
    /// <list type="bullet">
    /// <item>MSI-X: the vector's message; pending while it is masked, the function is masked, or no eventfd is set.</item>
    /// <item>MSI: the vector's message; with fewer vectors enabled than the device has, vectors share: the number is taken modulo the enabled ones.</item>
    /// <item>The pin: one pulse. Devices that know when software has acknowledged use <see cref="SetIntx"/> instead.</item>
    /// <item>Nothing enabled: lost.</item>
    /// </list>
    /// </remarks>
    public InterruptDelivery Signal(int vector)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(vector);
        lock (_lock)
        {
            switch (_mode)
            {
                case InterruptMode.Msix:
                    return _msixEnabled && vector < _msix.Length ? SignalMsix(vector) : InterruptDelivery.Lost;
                case InterruptMode.Msi:
                    return _msiEnabled && _enabledVectors != 0 ? SignalMsi(vector % _enabledVectors) : InterruptDelivery.Lost;
                case InterruptMode.Intx:
                    _pulse = true;
                    DeliverIntx();
                    return _pulse ? InterruptDelivery.Pending : InterruptDelivery.Delivered;
                default:
                    return InterruptDelivery.Lost;
            }
        }
    }

    /// <summary>Tells the user of an uncorrectable error of the device (the ERR interrupt). QEMU stops the VM on it.</summary>
    /// <returns>Whether somebody was notified.</returns>
    public bool RaiseError()
    {
        lock (_lock)
        {
            _ = _error?.Signal();
            return _error is not null;
        }
    }

    /// <summary>Asks the user to release the device (the REQ interrupt).</summary>
    /// <returns>Whether somebody was notified.</returns>
    internal bool RaiseRequest()
    {
        lock (_lock)
        {
            _ = _request?.Signal();
            return _request is not null;
        }
    }

    /// <summary>Takes over what a write to configuration space changed, and delivers what it unmasked.</summary>
    internal void OnConfigChanged()
    {
        lock (_lock)
        {
            LoadConfig();
            DeliverIntx();
            DeliverPending();
        }
    }

    /// <summary>Software may not enable more messages than the device asks for: the field is clamped.</summary>
    internal void ClampMsi()
    {
        if (_msiLayout is { } msi)
        {
            uint control = _config.GetWord(msi.Offset + 2);
            uint capable = (control >> 1) & 7;
            if (((control >> 4) & 7) > capable)
            {
                _config.Update(msi.Offset + 2, 0x70, capable << 4);
            }
        }
    }

    internal ulong ReadTable(ulong offset, int width)
    {
        lock (_lock)
        {
            return Load(_table.AsSpan((int)offset, width));
        }
    }

    internal void WriteTable(ulong offset, int width, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        lock (_lock)
        {
            int at = (int)offset;
            bytes[..width].CopyTo(_table.AsSpan(at));
            int vector = at / EntrySize;

            // Address bits 0 and 1 and all control bits but the mask read zero.
            Span<byte> entry = _table.AsSpan(vector * EntrySize, EntrySize);
            entry[0] &= 0xFC;
            entry[EntryControl] &= 0x01;
            entry[(EntryControl + 1)..].Clear();
            _tableWritten[vector / 64] |= 1UL << (vector % 64);
            DeliverMsix(vector);
        }
    }

    internal ulong ReadPending(ulong offset, int width)
    {
        lock (_lock)
        {
            ulong word = _msixPending[(int)(offset / 8)];
            word >>= (int)(offset % 8) * 8;
            return width == 8 ? word : word & ((1UL << (width * 8)) - 1);
        }
    }

    /// <summary>What a reset does: causes and pending bits go, everything that the user set up stays, as after a VFIO reset that restores the function.</summary>
    internal void Reset()
    {
        lock (_lock)
        {
            _pulse = false;
            _msiPending = 0;
            Array.Clear(_msixPending);
            UpdateMsiPending();
            if (_level)
            {
                _level = false;
                _config.Update(PciRegister.Command, StatusInterrupt, 0);
            }

            LoadConfig();
        }
    }

    /// <summary>What the last close does: all that a user set up goes (<c>vfio_pci_core_disable</c>). Configuration space is reset by the caller first.</summary>
    internal void Shutdown()
    {
        lock (_lock)
        {
            DisableIntx();
            DisableMessages(_msi);
            DisableMessages(_msix);
            _mode = InterruptMode.None;
            _enabledVectors = 0;
            Replace(ref _error, null);
            Replace(ref _request, null);
            _level = false;
            _pulse = false;
            _msiPending = 0;
            Array.Clear(_msixPending);
            ResetTable();
            LoadConfig();
        }
    }

    private static ulong Load(ReadOnlySpan<byte> bytes) => bytes.Length switch
    {
        1 => bytes[0],
        2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        _ => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
    };

    private void ResetTable()
    {
        Array.Clear(_table);
        Array.Clear(_tableWritten);
        for (int i = 0; i < _msix.Length; i++)
        {
            _table[(i * EntrySize) + EntryControl] = 1;
        }
    }

    private void LoadConfig()
    {
        _pinDisabled = (_config.GetWord(PciRegister.Command) & (ushort)PciCommand.InterruptDisable) != 0;
        if (_msiLayout is { } msi)
        {
            _msiEnabled = (_config.GetWord(msi.Offset + 2) & 1) != 0;
            _msiMask = msi.Maskable ? _config.GetDword(msi.Offset + 0x10) : 0;
        }

        if (_msixLayout is { } msix)
        {
            ushort control = _config.GetWord(msix.Offset + 2);
            _msixEnabled = (control & 0x8000) != 0;
            _functionMask = (control & 0x4000) != 0;
        }
    }

    private bool IsMsixMasked(int vector)
        => _functionMask
            || _msix[vector] is null
            || ((_tableWritten[vector / 64] & (1UL << (vector % 64))) != 0 && (_table[(vector * EntrySize) + EntryControl] & 1) != 0);

    private InterruptDelivery SignalMsix(int vector)
    {
        if (IsMsixMasked(vector))
        {
            _msixPending[vector / 64] |= 1UL << (vector % 64);
            return InterruptDelivery.Pending;
        }

        _ = _msix[vector]!.Signal();
        return InterruptDelivery.Delivered;
    }

    private InterruptDelivery SignalMsi(int vector)
    {
        if ((_msiMask & (1U << vector)) != 0)
        {
            _msiPending |= 1U << vector;
            UpdateMsiPending();
            return InterruptDelivery.Pending;
        }

        if (_msi[vector] is not { } eventFd)
        {
            return InterruptDelivery.Lost;
        }

        _ = eventFd.Signal();
        return InterruptDelivery.Delivered;
    }

    private void DeliverPending()
    {
        if (_mode == InterruptMode.Msix && _msixEnabled && !_functionMask)
        {
            for (int word = 0; word < _msixPending.Length; word++)
            {
                for (ulong bits = _msixPending[word]; bits != 0; bits &= bits - 1)
                {
                    DeliverMsix((word * 64) + System.Numerics.BitOperations.TrailingZeroCount(bits));
                }
            }
        }

        uint unmasked = _msiPending & ~_msiMask;
        if (_mode == InterruptMode.Msi && _msiEnabled && unmasked != 0)
        {
            _msiPending &= ~unmasked;
            UpdateMsiPending();
            for (; unmasked != 0; unmasked &= unmasked - 1)
            {
                _ = _msi[System.Numerics.BitOperations.TrailingZeroCount(unmasked)]?.Signal();
            }
        }
    }

    private void DeliverMsix(int vector)
    {
        ulong bit = 1UL << (vector % 64);
        if (_mode == InterruptMode.Msix && _msixEnabled && (_msixPending[vector / 64] & bit) != 0 && !IsMsixMasked(vector))
        {
            _msixPending[vector / 64] &= ~bit;
            _ = _msix[vector]!.Signal();
        }
    }

    private void UpdateMsiPending()
    {
        if (_msiLayout is { Maskable: true } msi)
        {
            _config.Update(msi.Offset + 0x14, uint.MaxValue, _msiPending);
        }
    }

    /// <summary>Delivers the pin if it is asserted and nothing holds it back. Masks it, as the kernel does with a level-triggered line.</summary>
    private void DeliverIntx()
    {
        if (_mode == InterruptMode.Intx && (_level || _pulse) && !_intxMasked && !_pinDisabled)
        {
            _pulse = false;
            _intxMasked = true;
            _ = _intx?.Signal();
        }
    }
}
