namespace Vfio.Siege;

/// <summary>What a client is doing when it is killed.</summary>
public enum ClientAct
{
    /// <summary>Connections that come and go, with VERSION in pieces.</summary>
    Negotiation,

    /// <summary>Reads and posted writes of registers, many under way.</summary>
    Registers,

    /// <summary>The device copies to and from memory that is mapped.</summary>
    MappedDma,

    /// <summary>The device asks for each byte on the twin socket.</summary>
    TwinDma,

    /// <summary>The device asks for each byte on the connection itself.</summary>
    InBandDma,

    /// <summary>Memory is mapped and unmapped.</summary>
    Maps,

    /// <summary>Eventfds are given, signalled and taken away.</summary>
    Interrupts,

    /// <summary>STOP_COPY, its data, RESUMING, its data.</summary>
    Migration,
}
