// gpt2, eager, padded: 2 sites
// Read as: causal, key padding, 4 heads, scale 0.25
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, key_mask = {{%[^,]+}}, causal_offset = 0, scale = 0.25, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,31],i1>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, key_mask = {{%[^,]+}}, causal_offset = 0, scale = 0.25, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,31],i1>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: return

// torch 2.13, transformers 5.23
module {
  func.func @main(%arg0: !torch.vtensor<[2,31],si64>, %arg1: !torch.vtensor<[2,31],si64>, %arg2: !torch.vtensor<[97,64],f32>, %arg3: !torch.vtensor<[256,64],f32>, %arg4: !torch.vtensor<[64],f32>, %arg5: !torch.vtensor<[64],f32>, %arg6: !torch.vtensor<[192],f32>, %arg7: !torch.vtensor<[64,192],f32>, %arg8: !torch.vtensor<[64],f32>, %arg9: !torch.vtensor<[64,64],f32>, %arg10: !torch.vtensor<[64],f32>, %arg11: !torch.vtensor<[64],f32>, %arg12: !torch.vtensor<[256],f32>, %arg13: !torch.vtensor<[64,256],f32>, %arg14: !torch.vtensor<[64],f32>, %arg15: !torch.vtensor<[256,64],f32>, %arg16: !torch.vtensor<[64],f32>, %arg17: !torch.vtensor<[64],f32>, %arg18: !torch.vtensor<[192],f32>, %arg19: !torch.vtensor<[64,192],f32>, %arg20: !torch.vtensor<[64],f32>, %arg21: !torch.vtensor<[64,64],f32>, %arg22: !torch.vtensor<[64],f32>, %arg23: !torch.vtensor<[64],f32>, %arg24: !torch.vtensor<[256],f32>, %arg25: !torch.vtensor<[64,256],f32>, %arg26: !torch.vtensor<[64],f32>, %arg27: !torch.vtensor<[256,64],f32>, %arg28: !torch.vtensor<[64],f32>, %arg29: !torch.vtensor<[64],f32>) -> !torch.vtensor<[2,31,97],f32> {
    %int-1 = torch.constant.int -1
    %int31 = torch.constant.int 31
    %0 = torch.prim.ListConstruct %int-1, %int31 : (!torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.view %arg1, %0 : !torch.vtensor<[2,31],si64>, !torch.list<int> -> !torch.vtensor<[2,31],si64>
    %false = torch.constant.bool false
    %2 = torch.aten.embedding %arg2, %1, %int-1, %false, %false : !torch.vtensor<[97,64],f32>, !torch.vtensor<[2,31],si64>, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %3 = torch.aten.arange %int31, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[31],si64>
    %int0 = torch.constant.int 0
    %int1 = torch.constant.int 1
    %4 = torch.aten.add.Scalar %3, %int0, %int1 : !torch.vtensor<[31],si64>, !torch.int, !torch.int -> !torch.vtensor<[31],si64>
    %5 = torch.aten.unsqueeze %4, %int0 : !torch.vtensor<[31],si64>, !torch.int -> !torch.vtensor<[1,31],si64>
    %6 = torch.aten.embedding %arg3, %5, %int-1, %false, %false : !torch.vtensor<[256,64],f32>, !torch.vtensor<[1,31],si64>, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[1,31,64],f32>
    %int6 = torch.constant.int 6
    %7 = torch.aten.to.dtype_layout %6, %int6, %int0, %cpu, %none, %false, %false, %none : !torch.vtensor<[1,31,64],f32>, !torch.int, !torch.int, !torch.Device, !torch.none, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,31,64],f32>
    %8 = torch.aten.add.Tensor %2, %7, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[1,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %int2 = torch.constant.int 2
    %9 = torch.prim.ListConstruct %int2, %int-1 : (!torch.int, !torch.int) -> !torch.list<int>
    %10 = torch.aten.view %arg0, %9 : !torch.vtensor<[2,31],si64>, !torch.list<int> -> !torch.vtensor<[2,31],si64>
    %int11 = torch.constant.int 11
    %11 = torch.aten.to.device %10, %cpu, %int11, %false, %false, %none : !torch.vtensor<[2,31],si64>, !torch.Device, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31],i1>
    %float1.000000e-01 = torch.constant.float 1.000000e-01
    %12 = torch.aten.dropout %8, %float1.000000e-01, %false : !torch.vtensor<[2,31,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %int64 = torch.constant.int 64
    %13 = torch.prim.ListConstruct %int64 : (!torch.int) -> !torch.list<int>
    %float1.000000e-05 = torch.constant.float 1.000000e-05
    %true = torch.constant.bool true
    %14 = torch.aten.layer_norm %12, %13, %arg4, %arg5, %float1.000000e-05, %true : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %15 = torch.prim.ListConstruct %int-1, %int64 : (!torch.int, !torch.int) -> !torch.list<int>
    %16 = torch.aten.view %14, %15 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[62,64],f32>
    %17 = torch.aten.addmm %arg6, %16, %arg7, %int1, %int1 : !torch.vtensor<[192],f32>, !torch.vtensor<[62,64],f32>, !torch.vtensor<[64,192],f32>, !torch.int, !torch.int -> !torch.vtensor<[62,192],f32>
    %int192 = torch.constant.int 192
    %18 = torch.prim.ListConstruct %int2, %int31, %int192 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %19 = torch.aten.view %17, %18 : !torch.vtensor<[62,192],f32>, !torch.list<int> -> !torch.vtensor<[2,31,192],f32>
    %20 = torch.aten.split.Tensor %19, %int64, %int2 : !torch.vtensor<[2,31,192],f32>, !torch.int, !torch.int -> !torch.list<vtensor>
    %21:3 = torch.prim.ListUnpack %20 : !torch.list<vtensor> -> !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>
    %int16 = torch.constant.int 16
    %22 = torch.prim.ListConstruct %int2, %int31, %int-1, %int16 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %23 = torch.aten.view %21#1, %22 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %24 = torch.aten.transpose.int %23, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %25 = torch.aten.view %21#2, %22 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %26 = torch.aten.transpose.int %25, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %27 = torch.aten.view %21#0, %22 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %28 = torch.aten.transpose.int %27, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %29 = torch.aten.expand %11, %0, %false : !torch.vtensor<[2,31],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,31],i1>
    %int256 = torch.constant.int 256
    %30:2 = torch.operator "torch.hyper.attention"(query = %28, key = %24, value = %26, key_mask = %29, causal_offset = 0, scale = 0.25, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,31],i1>) -> (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31],f32>) 
    %31 = torch.aten.transpose.int %30#0, %int1, %int2 : !torch.vtensor<[2,4,31,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,31,4,16],f32>
    %32 = torch.prim.ListConstruct %int2, %int31, %int-1 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %33 = torch.aten.reshape %31, %32 : !torch.vtensor<[2,31,4,16],f32>, !torch.list<int> -> !torch.vtensor<[2,31,64],f32>
    %34 = torch.aten.view %33, %15 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[62,64],f32>
    %35 = torch.aten.addmm %arg8, %34, %arg9, %int1, %int1 : !torch.vtensor<[64],f32>, !torch.vtensor<[62,64],f32>, !torch.vtensor<[64,64],f32>, !torch.int, !torch.int -> !torch.vtensor<[62,64],f32>
    %36 = torch.prim.ListConstruct %int2, %int31, %int64 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %37 = torch.aten.view %35, %36 : !torch.vtensor<[62,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,64],f32>
    %38 = torch.aten.dropout %37, %float1.000000e-01, %false : !torch.vtensor<[2,31,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %39 = torch.aten.add.Tensor %38, %12, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %40 = torch.aten.layer_norm %39, %13, %arg10, %arg11, %float1.000000e-05, %true : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %41 = torch.aten.view %40, %15 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[62,64],f32>
    %42 = torch.aten.addmm %arg12, %41, %arg13, %int1, %int1 : !torch.vtensor<[256],f32>, !torch.vtensor<[62,64],f32>, !torch.vtensor<[64,256],f32>, !torch.int, !torch.int -> !torch.vtensor<[62,256],f32>
    %43 = torch.prim.ListConstruct %int2, %int31, %int256 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %44 = torch.aten.view %42, %43 : !torch.vtensor<[62,256],f32>, !torch.list<int> -> !torch.vtensor<[2,31,256],f32>
    %float5.000000e-01 = torch.constant.float 5.000000e-01
    %45 = torch.aten.mul.Scalar %44, %float5.000000e-01 : !torch.vtensor<[2,31,256],f32>, !torch.float -> !torch.vtensor<[2,31,256],f32>
    %float3.000000e00 = torch.constant.float 3.000000e+00
    %46 = torch.aten.pow.Tensor_Scalar %44, %float3.000000e00 : !torch.vtensor<[2,31,256],f32>, !torch.float -> !torch.vtensor<[2,31,256],f32>
    %float4.471500e-02 = torch.constant.float 4.471500e-02
    %47 = torch.aten.mul.Scalar %46, %float4.471500e-02 : !torch.vtensor<[2,31,256],f32>, !torch.float -> !torch.vtensor<[2,31,256],f32>
    %48 = torch.aten.add.Tensor %44, %47, %int1 : !torch.vtensor<[2,31,256],f32>, !torch.vtensor<[2,31,256],f32>, !torch.int -> !torch.vtensor<[2,31,256],f32>
    %float7.978850e-01 = torch.constant.float 0.79788456080286541
    %49 = torch.aten.mul.Scalar %48, %float7.978850e-01 : !torch.vtensor<[2,31,256],f32>, !torch.float -> !torch.vtensor<[2,31,256],f32>
    %50 = torch.aten.tanh %49 : !torch.vtensor<[2,31,256],f32> -> !torch.vtensor<[2,31,256],f32>
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %51 = torch.aten.add.Scalar %50, %float1.000000e00, %int1 : !torch.vtensor<[2,31,256],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,256],f32>
    %52 = torch.aten.mul.Tensor %45, %51 : !torch.vtensor<[2,31,256],f32>, !torch.vtensor<[2,31,256],f32> -> !torch.vtensor<[2,31,256],f32>
    %53 = torch.prim.ListConstruct %int-1, %int256 : (!torch.int, !torch.int) -> !torch.list<int>
    %54 = torch.aten.view %52, %53 : !torch.vtensor<[2,31,256],f32>, !torch.list<int> -> !torch.vtensor<[62,256],f32>
    %55 = torch.aten.addmm %arg14, %54, %arg15, %int1, %int1 : !torch.vtensor<[64],f32>, !torch.vtensor<[62,256],f32>, !torch.vtensor<[256,64],f32>, !torch.int, !torch.int -> !torch.vtensor<[62,64],f32>
    %56 = torch.aten.view %55, %36 : !torch.vtensor<[62,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,64],f32>
    %57 = torch.aten.dropout %56, %float1.000000e-01, %false : !torch.vtensor<[2,31,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %58 = torch.aten.add.Tensor %39, %57, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %59 = torch.aten.layer_norm %58, %13, %arg16, %arg17, %float1.000000e-05, %true : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %60 = torch.aten.view %59, %15 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[62,64],f32>
    %61 = torch.aten.addmm %arg18, %60, %arg19, %int1, %int1 : !torch.vtensor<[192],f32>, !torch.vtensor<[62,64],f32>, !torch.vtensor<[64,192],f32>, !torch.int, !torch.int -> !torch.vtensor<[62,192],f32>
    %62 = torch.aten.view %61, %18 : !torch.vtensor<[62,192],f32>, !torch.list<int> -> !torch.vtensor<[2,31,192],f32>
    %63 = torch.aten.split.Tensor %62, %int64, %int2 : !torch.vtensor<[2,31,192],f32>, !torch.int, !torch.int -> !torch.list<vtensor>
    %64:3 = torch.prim.ListUnpack %63 : !torch.list<vtensor> -> !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>
    %65 = torch.aten.view %64#1, %22 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %66 = torch.aten.transpose.int %65, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %67 = torch.aten.view %64#2, %22 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %68 = torch.aten.transpose.int %67, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %69 = torch.aten.view %64#0, %22 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %70 = torch.aten.transpose.int %69, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %71 = torch.aten.expand %11, %0, %false : !torch.vtensor<[2,31],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,31],i1>
    %72:2 = torch.operator "torch.hyper.attention"(query = %70, key = %66, value = %68, key_mask = %71, causal_offset = 0, scale = 0.25, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,31],i1>) -> (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31],f32>) 
    %73 = torch.aten.transpose.int %72#0, %int1, %int2 : !torch.vtensor<[2,4,31,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,31,4,16],f32>
    %74 = torch.aten.reshape %73, %32 : !torch.vtensor<[2,31,4,16],f32>, !torch.list<int> -> !torch.vtensor<[2,31,64],f32>
    %75 = torch.aten.view %74, %15 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[62,64],f32>
    %76 = torch.aten.addmm %arg20, %75, %arg21, %int1, %int1 : !torch.vtensor<[64],f32>, !torch.vtensor<[62,64],f32>, !torch.vtensor<[64,64],f32>, !torch.int, !torch.int -> !torch.vtensor<[62,64],f32>
    %77 = torch.aten.view %76, %36 : !torch.vtensor<[62,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,64],f32>
    %78 = torch.aten.dropout %77, %float1.000000e-01, %false : !torch.vtensor<[2,31,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %79 = torch.aten.add.Tensor %78, %58, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %80 = torch.aten.layer_norm %79, %13, %arg22, %arg23, %float1.000000e-05, %true : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %81 = torch.aten.view %80, %15 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[62,64],f32>
    %82 = torch.aten.addmm %arg24, %81, %arg25, %int1, %int1 : !torch.vtensor<[256],f32>, !torch.vtensor<[62,64],f32>, !torch.vtensor<[64,256],f32>, !torch.int, !torch.int -> !torch.vtensor<[62,256],f32>
    %83 = torch.aten.view %82, %43 : !torch.vtensor<[62,256],f32>, !torch.list<int> -> !torch.vtensor<[2,31,256],f32>
    %84 = torch.aten.mul.Scalar %83, %float5.000000e-01 : !torch.vtensor<[2,31,256],f32>, !torch.float -> !torch.vtensor<[2,31,256],f32>
    %85 = torch.aten.pow.Tensor_Scalar %83, %float3.000000e00 : !torch.vtensor<[2,31,256],f32>, !torch.float -> !torch.vtensor<[2,31,256],f32>
    %86 = torch.aten.mul.Scalar %85, %float4.471500e-02 : !torch.vtensor<[2,31,256],f32>, !torch.float -> !torch.vtensor<[2,31,256],f32>
    %87 = torch.aten.add.Tensor %83, %86, %int1 : !torch.vtensor<[2,31,256],f32>, !torch.vtensor<[2,31,256],f32>, !torch.int -> !torch.vtensor<[2,31,256],f32>
    %88 = torch.aten.mul.Scalar %87, %float7.978850e-01 : !torch.vtensor<[2,31,256],f32>, !torch.float -> !torch.vtensor<[2,31,256],f32>
    %89 = torch.aten.tanh %88 : !torch.vtensor<[2,31,256],f32> -> !torch.vtensor<[2,31,256],f32>
    %90 = torch.aten.add.Scalar %89, %float1.000000e00, %int1 : !torch.vtensor<[2,31,256],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,256],f32>
    %91 = torch.aten.mul.Tensor %84, %90 : !torch.vtensor<[2,31,256],f32>, !torch.vtensor<[2,31,256],f32> -> !torch.vtensor<[2,31,256],f32>
    %92 = torch.aten.view %91, %53 : !torch.vtensor<[2,31,256],f32>, !torch.list<int> -> !torch.vtensor<[62,256],f32>
    %93 = torch.aten.addmm %arg26, %92, %arg27, %int1, %int1 : !torch.vtensor<[64],f32>, !torch.vtensor<[62,256],f32>, !torch.vtensor<[256,64],f32>, !torch.int, !torch.int -> !torch.vtensor<[62,64],f32>
    %94 = torch.aten.view %93, %36 : !torch.vtensor<[62,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,64],f32>
    %95 = torch.aten.dropout %94, %float1.000000e-01, %false : !torch.vtensor<[2,31,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %96 = torch.aten.add.Tensor %79, %95, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %97 = torch.aten.layer_norm %96, %13, %arg28, %arg29, %float1.000000e-05, %true : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %98 = torch.prim.ListConstruct %int-1, %int31, %int64 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %99 = torch.aten.view %97, %98 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,64],f32>
    %100 = torch.aten.alias %99 : !torch.vtensor<[2,31,64],f32> -> !torch.vtensor<[2,31,64],f32>
    %101 = torch.aten.linear %100, %arg2, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[97,64],f32>, !torch.none -> !torch.vtensor<[2,31,97],f32>
    return %101 : !torch.vtensor<[2,31,97],f32>
  }
}
